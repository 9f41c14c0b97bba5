import express from 'express'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import type { Browser, Locator, Page } from 'playwright-core'
import type { VKitClient } from '../../../lib/index.js'
import { FakeClock, type GatewayEmulator } from '../../../lib/testing/index.js'
import { openPage, type OpenedPage } from '../../support/browser.js'
import { startEmulatorWithPage } from '../../support/emulator-page.js'
import { afterThisTest, makeClient } from '../../support/gateway.js'
import { untilTrue } from '../../support/until.js'

interface DemoModule {
  readonly createDemo: (vkit: VKitClient, options: { clock: FakeClock; script: string }) => express.Router
}
// Its path is not a literal, because the examples have no types.
const { createDemo } = (await import(path.resolve('examples/express/demo.js'))) as DemoModule

export const LIFETIME_S = 60
export const SCRIPT = 'https://cdn.test/videokit.js'

export interface Server {
  readonly gateway: GatewayEmulator
  /** The address of the emulator's page. */
  readonly steering: string
  readonly vkit: VKitClient
  readonly clock: FakeClock
  readonly url: string
}

/** Serves the demo page, in front of an emulator, on a clock that both share. */
export async function startServer(script = ''): Promise<Server> {
  const clock = new FakeClock()
  const started = await startEmulatorWithPage({ now: () => clock.now(), lifetimeMs: LIFETIME_S * 1_000 })
  const gateway = started.emulator
  const vkit = makeClient(gateway, { clock, maxRetries: 0 })
  const app = express().use('/demo', createDemo(vkit, { clock, script }))
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  afterThisTest(async () => {
    server.close()
    server.closeAllConnections()
  })
  return {
    gateway,
    steering: started.url,
    vkit,
    clock,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  }
}

/** Removes the random part of waits, and counts pending requests. */
const INIT = `
  Math.random = () => 0
  window.pending = 0
  const { fetch } = window
  window.fetch = (...args) => (pending++, fetch(...args).finally(() => pending--))`

/** The demo in a browser. Time passes only on request, at once for the server and for the page. */
export class Demo {
  readonly server: Server
  readonly opened: OpenedPage

  private constructor(server: Server, opened: OpenedPage) {
    this.server = server
    this.opened = opened
  }

  static async open(browser: Browser, { script = '', clockIsOffBy = 0 } = {}): Promise<Demo> {
    const server = await startServer(script)
    const opened = await openPage(browser)
    const { page } = opened
    const now = server.clock.now()
    await page.addInitScript(INIT)
    await page.clock.install({ time: now })
    await page.clock.pauseAt(now + 60_000)
    await page.clock.setSystemTime(now + clockIsOffBy)
    if (script) {
      const body = 'const SessionManager = { startSession: session => { globalThis.startedWith = session } }'
      await page.route(script, route => route.fulfill({ contentType: 'text/javascript', body }))
    }
    await page.goto(`${server.url}/demo`)
    const demo = new Demo(server, opened)
    await demo.panel('bob').waitFor()
    return demo
  }

  get page(): Page {
    return this.opened.page
  }

  panel(user: string): Locator {
    return this.page.getByRole('region', { name: user })
  }

  async signIn(user: string): Promise<void> {
    await this.page.getByRole('button', { name: `Sign in ${user}` }).click()
  }

  /** Waits until the panel of this user shows a text. */
  async shows(user: string, text: string | RegExp): Promise<void> {
    await this.panel(user).getByText(text, { exact: true }).waitFor()
  }

  /** Lets time pass, and waits for the requests that this causes. */
  async pass(seconds: number): Promise<void> {
    await this.server.clock.advance(seconds * 1_000)
    await this.page.clock.runFor(seconds * 1_000)
    await untilTrue(() => this.page.evaluate('pending === 0'))
    await untilTrue(() => this.server.vkit.stats().inFlight === 0)
  }
}
