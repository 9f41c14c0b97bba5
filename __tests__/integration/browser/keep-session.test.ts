import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import type { Browser, Page, Route } from 'playwright-core'
import { chromiumOnPath, openPage, startBrowser } from '../../support/browser.js'
import { describeWith } from '../../support/needs.js'
import { untilTrue } from '../../support/until.js'

const ORIGIN = 'http://app.test'
const NOW = Date.parse('2030-01-01T00:00:00Z')
const MODULE = readFileSync('examples/web/keep-session.js', 'utf8')

/** Records what the module does. `random` and `rejects` are set by tests. */
const APP = `<!doctype html><script type="module">
  import { keepSession } from '/keep-session.js'
  Object.assign(window, { started: [], failures: [], requests: 0, timers: 0, random: 0, rejects: false })
  Math.random = () => random
  const { fetch, setTimeout } = window
  window.fetch = (...args) => (requests++, fetch(...args))
  window.setTimeout = (...args) => (timers++, setTimeout(...args))
  const startSession = async ({ sessionToken }) => {
    if (rejects) throw new Error('VideoKit is not connected.')
    started.push(sessionToken)
  }
  const onFailure = ({ message }, seconds) => failures.push({ message, seconds: seconds ?? null })
  window.stop = keepSession(startSession, { onFailure })
</script>`

type Reply = Parameters<Route['fulfill']>[0]

/** A response of the token endpoint, as lib/handlers sends it. */
const token = (sessionToken: string, expiresIn = 60): Reply => ({ json: { sessionToken, expiresIn } })
const refusal = (status: number, headers = {}): Reply => ({ status, headers, json: { error: { code: 'X' } } })

/** A page with the module, whose time passes only on request. `replies` are the responses of its token endpoint. */
class App {
  readonly page: Page
  replies: readonly (Reply | Promise<Reply> | 'offline')[]

  private constructor(page: Page, replies: App['replies']) {
    this.page = page
    this.replies = replies
  }

  static async open(browser: Browser, replies: App['replies'], clockIsOffBy = 0): Promise<App> {
    const { page } = await openPage(browser)
    const app = new App(page, replies)
    await page.clock.install({ time: NOW })
    await page.clock.pauseAt(NOW + 60_000)
    await page.route('**/*', route => app.#reply(route))
    await page.goto(ORIGIN)
    await app.settles(1)
    await page.clock.setSystemTime(NOW + 60_000 + clockIsOffBy)
    return app
  }

  async #reply(route: Route): Promise<void> {
    const { pathname } = new URL(route.request().url())
    if (pathname === '/') return route.fulfill({ contentType: 'text/html', body: APP })
    if (pathname !== '/token') return route.fulfill({ contentType: 'text/javascript', body: MODULE })
    expect(route.request().method()).toBe('POST')
    const [reply = 'offline', ...rest] = this.replies
    this.replies = rest
    if (reply === 'offline') return route.abort()
    return route.fulfill(await reply)
  }

  read<T>(name: string): Promise<T> {
    return this.page.evaluate<T>(name)
  }

  /** Waits until each of this number of requests has started a session or failed. */
  settles(requests: number): Promise<void> {
    return untilTrue(() => this.read<boolean>(`window.started?.length + failures.length === ${requests}`))
  }

  /** Checks that the next request is sent after exactly this time, and waits for its outcome. */
  async renewsAfter(seconds: number): Promise<void> {
    const before = await this.read<number>('requests')
    await this.page.clock.fastForward(seconds * 1_000 - 1)
    expect(await this.read('requests')).toBe(before)
    await this.page.clock.fastForward(1)
    expect(await this.read('requests')).toBe(before + 1)
    await this.settles(before + 1)
  }

  async becomesVisible(): Promise<void> {
    await this.page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`)
  }

  /** Checks that no request is sent any more. */
  async isQuiet(): Promise<void> {
    const before = await this.read('requests')
    await this.becomesVisible()
    await this.page.clock.fastForward('48:00:00')
    expect(await this.read('requests')).toBe(before)
  }
}

describeWith(chromiumOnPath, 'keepSession in a browser', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await startBrowser()
  })
  afterAll(() => browser.close())

  it.each([0, -600_000, 600_000])(
    'starts each new token, after half of the time left; the clock of the device is off by %i ms',
    async clockIsOffBy => {
      const app = await App.open(browser, [token('A', 60), token('B', 4), token('C', 3_600)], clockIsOffBy)
      await app.renewsAfter(30)
      await app.renewsAfter(2)
      expect(await app.read('started')).toEqual(['A', 'B', 'C'])
      expect(await app.read('failures')).toEqual([])
    },
  )

  it('does not start the same token again, and asks again after half of what is left of it', async () => {
    const app = await App.open(browser, [token('A', 60), token('A', 20), token('B')])
    await app.page.clock.fastForward(30_000)
    await untilTrue(() => app.read<boolean>('timers === 2'))
    await app.page.clock.fastForward(10_000)
    await app.settles(2)
    expect(await app.read('started')).toEqual(['A', 'B'])
  })

  it('renews at least once a day, because a longer timer fires at once', async () => {
    const app = await App.open(browser, [token('A', 90 * 86_400), token('B')])
    await app.renewsAfter(86_400)
  })

  it('asks at most once a second for tokens that have expired', async () => {
    const app = await App.open(browser, [token('A', 0), token('B', 0), token('C')])
    await app.renewsAfter(1)
    await app.renewsAfter(1)
  })

  it('waits for Retry-After, and a random time longer', async () => {
    const app = await App.open(browser, [refusal(503, { 'retry-after': '7' }), refusal(429), token('A')])
    await app.page.evaluate('random = 0.8')
    await app.renewsAfter(7)
    await app.renewsAfter(2.4)
    expect(await app.read('failures')).toEqual([
      { message: 'The token endpoint responded with 503.', seconds: 7 },
      { message: 'The token endpoint responded with 429.', seconds: 2.4 },
    ])
    expect(await app.read('started')).toEqual(['A'])
  })

  it('waits longer after each failure without Retry-After, up to a minute', async () => {
    const app = await App.open(browser, ['offline', refusal(500), { body: '<h1>Sign in</h1>' }])
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) await app.renewsAfter(seconds)
    app.replies = [token('A'), 'offline']
    await app.renewsAfter(60)
    await app.renewsAfter(30)
    await app.renewsAfter(1)
  })

  it('tries again if the session does not start', async () => {
    const app = await App.open(browser, [token('A'), token('B'), token('B'), token('C')])
    await app.page.evaluate('rejects = true')
    await app.renewsAfter(30)
    await app.page.evaluate('rejects = false')
    await app.renewsAfter(1)
    expect(await app.read('started')).toEqual(['A', 'B'])
    expect(await app.read('failures')).toEqual([{ message: 'VideoKit is not connected.', seconds: 1 }])
    await app.renewsAfter(30)
  })

  it.each([401, 403])('stops when the user is signed out: %i', async status => {
    const app = await App.open(browser, [token('A'), refusal(status, { 'retry-after': '1' })])
    await app.renewsAfter(30)
    expect(await app.read('failures')).toEqual([
      { message: `The token endpoint responded with ${status}.`, seconds: null },
    ])
    await app.isQuiet()
  })

  it('does nothing after it was stopped', async () => {
    const app = await App.open(browser, [token('A')])
    await app.page.evaluate('stop()')
    await app.isQuiet()
  })

  it('does nothing after it was stopped, even if a response is pending', async () => {
    let respond: (reply: Reply) => void = () => undefined
    const pending = new Promise<Reply>(resolve => (respond = resolve))
    const app = await App.open(browser, [token('A'), pending])
    await app.page.clock.fastForward(30_000)
    await untilTrue(() => app.replies.length === 0)
    await app.page.evaluate('stop()')
    const received = app.page.waitForResponse('**/token').then(response => response.finished())
    respond(token('B'))
    await received
    await app.isQuiet()
    expect(await app.read('started')).toEqual(['A'])
    expect(await app.read('failures')).toEqual([])
  })

  it('renews at once when the page becomes visible, because timers stop while a device sleeps', async () => {
    const app = await App.open(browser, [token('A'), token('B'), refusal(503, { 'retry-after': '9' }), token('C')])
    await app.becomesVisible()
    await app.settles(2)
    await app.renewsAfter(30)
    // Retry-After applies to this too.
    await app.becomesVisible()
    await app.renewsAfter(9)
    expect(await app.read('started')).toEqual(['A', 'B', 'C'])
  })
})
