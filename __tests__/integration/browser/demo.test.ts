import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals'
import express from 'express'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import type { Browser, Locator, Page } from 'playwright-core'
import type { VKitClient } from '../../../lib/index.js'
import { assertNoSecret, FakeClock, type GatewayEmulator } from '../../../lib/testing/index.js'
import { chromiumOnPath, openPage, seriousFindings, startBrowser, type OpenedPage } from '../../support/browser.js'
import { afterThisTest, makeClient, startGateway } from '../../support/gateway.js'
import { describeWith } from '../../support/needs.js'
import { untilTrue } from '../../support/until.js'

interface DemoModule {
  readonly createDemo: (vkit: VKitClient, options: { clock: FakeClock; script: string }) => express.Router
}
// Its path is not a literal, because the examples have no types.
const { createDemo } = (await import(path.resolve('examples/express/demo.js'))) as DemoModule

const LIFETIME_S = 60
const SCRIPT = 'https://cdn.test/videokit.js'

const SIGNED_OUT = 'Signed out.'
const VALID = 'Signed in, with a valid token.'
const INVALID = 'Signed in, without a valid token.'

interface Server {
  readonly gateway: GatewayEmulator
  readonly vkit: VKitClient
  readonly clock: FakeClock
  readonly url: string
}

async function startServer(script = ''): Promise<Server> {
  const clock = new FakeClock()
  const gateway = await startGateway({ clock, lifetimeMs: LIFETIME_S * 1_000 })
  const vkit = makeClient(gateway, { clock, maxRetries: 0 })
  const app = express().use('/demo', createDemo(vkit, { clock, script }))
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  afterThisTest(async () => {
    server.close()
    server.closeAllConnections()
  })
  return { gateway, vkit, clock, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** Removes the random part of waits, and counts pending requests. */
const INIT = `
  Math.random = () => 0
  window.pending = 0
  const { fetch } = window
  window.fetch = (...args) => (pending++, fetch(...args).finally(() => pending--))`

/** The demo in a browser. Time passes only on request, at once for the server and for the page. */
class Demo {
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

describeWith(chromiumOnPath, 'the demo page', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await startBrowser()
  })
  afterAll(() => browser.close())
  afterEach(() => void jest.restoreAllMocks())

  it('goes on for a known user while the gateway is down, and gives a new user a token when it is back', async () => {
    const demo = await Demo.open(browser)
    await demo.signIn('anna')
    await demo.shows('anna', VALID)
    demo.server.gateway.fail({ status: 503 })
    const warn = jest.spyOn(console, 'warn').mockReturnValue()
    await demo.signIn('bob')
    await demo.shows('bob', INVALID)
    await demo.shows('bob', /^The token endpoint responded with 503\. Trying again in \d s\.$/)

    // Anna's page asks again after half of the time left.
    await demo.pass(LIFETIME_S / 2)
    await demo.shows('anna', VALID)
    await demo.shows('anna', 'none')
    await demo.shows('bob', INVALID)

    demo.server.gateway.recover()
    await demo.pass(10)
    await demo.shows('bob', VALID)
    expect(demo.opened.problems.filter(problem => !problem.includes('503'))).toEqual([])
    expect(new Set(warn.mock.calls.flat())).toEqual(new Set(['No session token for bob: VKIT_UNAVAILABLE']))
  })

  it.each([0, -600_000, 600_000])(
    'renews short tokens before they expire; the clock of the device is off by %i ms',
    async clockIsOffBy => {
      const demo = await Demo.open(browser, { clockIsOffBy })
      await demo.signIn('anna')
      await demo.shows('anna', VALID)
      for (let passed = 0; passed < 3 * LIFETIME_S; passed += 5) {
        await demo.pass(5)
        expect(await demo.panel('anna').getByRole('status').textContent()).toBe(VALID)
      }
      await demo.shows('anna', /^[345], the last \d+ s ago$/)
      expect(demo.opened.problems).toEqual([])
    },
  )

  it('keeps its users signed in when it is reloaded, and signs out each of them alone', async () => {
    const demo = await Demo.open(browser)
    await demo.signIn('anna')
    await demo.signIn('bob')
    await demo.shows('bob', VALID)
    await demo.page.reload()
    await demo.shows('anna', VALID)
    await demo.page.getByRole('button', { name: 'Sign out anna' }).click()
    await demo.shows('anna', SIGNED_OUT)
    await demo.page.reload()
    await demo.shows('anna', SIGNED_OUT)
    await demo.shows('bob', VALID)
  })

  it('needs only a keyboard, has no serious finding of axe, and shows no secret', async () => {
    const demo = await Demo.open(browser)
    const { page, problems, origins } = demo.opened
    const tokens: string[] = []
    page.on('response', response => {
      if (response.url().endsWith('/token')) void response.text().then(text => tokens.push(text))
    })
    for (const user of ['anna', 'bob']) {
      await page.keyboard.press('Tab')
      await page.keyboard.press('Enter')
      await demo.shows(user, VALID)
    }
    await page.clock.resume() // axe waits.
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      expect(await seriousFindings(page)).toEqual([])
    }
    await untilTrue(() => tokens.length === 2)
    const content = await page.content()
    for (const text of tokens) {
      assertNoSecret(content, (JSON.parse(text) as { sessionToken: string }).sessionToken)
    }
    assertNoSecret([content, tokens], demo.server.gateway.appSecret)
    expect([problems, [...origins]]).toEqual([[], [demo.server.url]])
  })

  it('passes each token to the VideoKit SDK, if its script is configured', async () => {
    const demo = await Demo.open(browser, { script: SCRIPT })
    await demo.signIn('anna')
    await demo.shows('anna', VALID)
    expect(await demo.page.evaluate('startedWith')).toEqual({ sessionToken: expect.stringMatching(/^eyJ/) as unknown })
    expect([demo.opened.problems, [...demo.opened.origins]]).toEqual([[], [demo.server.url, 'https://cdn.test']])
  })
})

describe('the server of the demo page', () => {
  async function send(
    url: string,
    method: string,
    headers: http.OutgoingHttpHeaders = {},
  ): Promise<http.IncomingMessage> {
    const request = http.request(url, { method, headers, agent: false }).end()
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    return response.resume()
  }

  it('lets a cookie that it has set choose the user, and nothing else', async () => {
    const { url } = await startServer()
    const origin = url
    const token = `${url}/demo/1/token`
    const signIn = await send(`${url}/demo/1/sign-in`, 'POST', { origin })
    const [setCookie = ''] = signIn.headers['set-cookie'] ?? []
    expect(setCookie).toMatch(/^vkit_demo=[\w-]{43}; Path=\/demo\/1; HttpOnly; SameSite=Strict$/)
    const [cookie] = setCookie.split(';')
    expect((await send(token, 'POST', { origin, cookie })).statusCode).toBe(200)
    expect((await send(`${token}?user=anna`, 'POST', { origin, cookie: 'vkit_demo=anna' })).statusCode).toBe(401)
    expect((await send(`${url}/demo/2/token`, 'POST', { origin, cookie })).statusCode).toBe(401)
    await send(`${url}/demo/1/sign-out`, 'POST', { origin, cookie })
    expect((await send(token, 'POST', { origin, cookie })).statusCode).toBe(401)
  })

  it.each<[http.OutgoingHttpHeaders, string]>([
    [{ host: 'attacker.example' }, 'GET'],
    [{ host: '127.0.0.1.attacker.example:3000', origin: 'http://127.0.0.1.attacker.example:3000' }, 'POST'],
    [{ origin: 'http://127.0.0.1:1' }, 'POST'],
    [{ origin: 'null' }, 'POST'],
    [{}, 'POST'],
  ])('refuses requests of other sites: %j %s', async (headers, method) => {
    const { url } = await startServer()
    for (const place of ['/demo', '/demo/1/sign-in', '/demo/1/token', '/demo/keep-session.js']) {
      expect((await send(url + place, method, headers)).statusCode).toBe(403)
    }
  })

  it.each(['http://cdn.test/videokit.js', 'videokit.js', `${SCRIPT}?sessionToken=eyJ`])(
    'does not start with the script %s',
    async script => {
      await expect(startServer(script)).rejects.toThrow('VIDEOKIT_SCRIPT must be an https URL without a token.')
    },
  )
})
