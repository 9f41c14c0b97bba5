import { afterAll, beforeAll, beforeEach, expect, it, jest } from '@jest/globals'
import type { Browser, Locator, Page } from 'playwright-core'
import { assertNoSecret } from '../../../lib/testing/index.js'
import { chromiumOnPath, openPage, seriousFindings, startBrowser, type OpenedPage } from '../../support/browser.js'
import { mint, startEmulatorWithPage, type EmulatorWithPage } from '../../support/emulator-page.js'
import { makeClient } from '../../support/gateway.js'
import { describeWith } from '../../support/needs.js'
import { untilTrue } from '../../support/until.js'

jest.setTimeout(60_000)

describeWith(chromiumOnPath, 'the page of the emulator', () => {
  let browser: Browser
  let started: EmulatorWithPage
  let opened: OpenedPage
  let page: Page

  beforeAll(async () => {
    browser = await startBrowser()
  })
  afterAll(() => browser.close())

  beforeEach(async () => {
    started = await startEmulatorWithPage()
    opened = await openPage(browser)
    page = opened.page
    await page.clock.install()
    await page.goto(started.url)
    await untilStatus('All well')
  })

  const button = (name: string): Locator => page.getByRole('button', { name })
  const untilStatus = (text: string): Promise<void> =>
    page.getByRole('status').filter({ hasText: text }).waitFor({ state: 'visible' })
  const untilRow = (text: string): Promise<void> => page.getByRole('row').filter({ hasText: text }).first().waitFor()

  it('shows a request, its token and the time left, whatever the identity contains', async () => {
    const identity = '<img src=x onerror="document.title=1">'
    expect(await mint(started, { identity, scopes: ['videos.read'] })).toBe(200)
    await untilRow(identity)
    expect(await page.locator('tbody td').allInnerTexts()).toEqual([
      expect.stringMatching(/\d:\d\d:\d\d/),
      ...[identity, 'videos.read', '200', expect.stringMatching(/^\d+ ms$/), expect.stringMatching(/^ (59|60) min$/)],
    ])
    await page.getByText(/^(59|60) min$/).click()
    expect(await page.locator('pre').innerText()).toContain('"role": "session"')
    expect(await page.locator('figcaption').innerText()).toBe('1 request, 0 failed')

    await page.clock.fastForward(30 * 60_000)
    expect(await page.locator('summary').innerText()).toMatch(/^ (29|30) min$/)
    expect(await page.locator('figcaption').innerText()).toBe('0 requests, 0 failed')
    await page.clock.fastForward(30 * 60_000)
    expect(await page.locator('summary').innerText()).toBe(' expired')
    expect(await page.title()).toBe('vkit emulator')
    expect(opened.problems).toEqual([])
  })

  it('marks the retries of a client', async () => {
    started.emulator.failNext({ status: 503 }, 2)
    await makeClient(started.emulator).getSessionToken('anna')
    await untilRow('200')
    expect(await page.locator('tbody td:nth-child(4)').allInnerTexts()).toEqual(['200 retry 2', '503 retry 1', '503'])
    expect(await page.locator('figcaption').innerText()).toBe('3 requests, 2 failed')
  })

  it.each([
    ['Down', 0],
    ['5 % fail', undefined],
    ['Rate limited', 429],
    ['Rotated secret', 200],
    ['Wrong clock', 200],
    ['Short-lived tokens', 200],
  ])('%s is on until it is pressed again', async (name, expected) => {
    await button(name).click()
    await untilStatus(`On: ${name}`)
    expect(await button(name).getAttribute('aria-pressed')).toBe('true')
    if (expected !== undefined) expect(await mint(started)).toBe(expected)
    await button(name).click()
    await untilStatus('All well')
    expect(await mint(started)).toBe(200)
  })

  it('shows the effect of a short lifetime and of a wrong clock in the tokens', async () => {
    await button('Wrong clock').click()
    await button('Short-lived tokens').click()
    await untilStatus('On: Short-lived tokens, Wrong clock')
    expect(started.emulator).toMatchObject({ clockOffsetMs: 600_000, lifetimeMs: 60_000 })
    await mint(started)
    await untilRow(' s')
    expect(await page.locator('summary').innerText()).toMatch(/^ (59|60) s$/)
  })

  it('closes its connection while the tab is hidden, because six tabs would use all those of a browser', async () => {
    const { readers } = started
    const setHidden = (hidden: boolean): Promise<void> =>
      page.evaluate(
        `Object.defineProperty(document, 'hidden', { value: ${hidden}, configurable: true })
        document.dispatchEvent(new Event('visibilitychange'))`,
      )
    await setHidden(true)
    await untilTrue(() => readers() === 0)
    await mint(started, { identity: 'meanwhile' })
    await setHidden(false)
    await untilRow('meanwhile')
    expect(readers()).toBe(1)
    expect(opened.problems).toEqual([])
  })

  it('shows a second user whose requests fail, and keeps what is typed', async () => {
    await page.getByLabel('identity').fill('carol')
    started.emulator.fail({ status: 503, identity: 'anna' }, { status: 503, identity: 'bob' })
    await fetch(`${started.url}/_emulator/clock`, { method: 'POST', body: '{"offsetMs":5}' })
    await page.getByText('Also: {"status":503,"identity":"bob"}').waitFor()
    expect(await page.getByLabel('identity').inputValue()).toBe('carol')
  })

  it('works with the keyboard alone', async () => {
    const tab = async (times: number): Promise<void> => {
      for (let n = 0; n < times; n++) await page.keyboard.press('Tab')
    }
    await tab(2)
    await page.keyboard.press('Enter')
    await untilStatus('On: Down')
    await page.keyboard.press('Space')
    await untilStatus('All well')
    await tab(7)
    await page.keyboard.type('bob')
    await page.keyboard.press('Enter')
    await untilStatus('On: One user fails')
    expect([await mint(started, { identity: 'bob' }), await mint(started)]).toEqual([503, 200])
    await tab(1)
    await page.keyboard.press('Enter')
    await untilStatus('All well')
    await untilRow('bob')
    await tab(4)
    await page.keyboard.press('Enter')
    await page.getByText('No requests yet').waitFor()
  })

  it('shows what others change, and keeps faults that have no switch', async () => {
    started.emulator.failNext({ status: 503 })
    const json = {
      faults: [
        { status: 418, identity: '<i>' },
        { share: 0.3, status: 503 },
      ],
    }
    await fetch(`${started.url}/_emulator/faults`, { method: 'PUT', body: JSON.stringify(json) })
    await untilStatus('On: 30 % fail, another fault')
    await page.getByText('Also: {"status":418,"identity":"<i>"}').waitFor()
    await button('Slow').click()
    await button('Hanging').click()
    await untilStatus('On: Hanging, Slow, 30 % fail, another fault')
    expect(started.emulator.faults).toEqual([...json.faults, { delayMs: 3000 }, { silence: true }])
    await button('All well').click()
    await untilStatus('All well')
    expect(started.emulator.faults).toEqual([])
  })

  it('says that the emulator has ended', async () => {
    started.stopPage()
    await untilStatus('The emulator does not respond')
  })

  it('contains no secret and no token, and loads nothing from another origin', async () => {
    const { emulator, url } = started
    const first = emulator.appSecret
    await mint(started)
    await button('Rotated secret').click()
    await untilStatus('On: Rotated secret')
    await untilTrue(async () => (await mint(started)) === 200)
    await untilRow('200')
    const content = await page.content()
    assertNoSecret(content, first)
    assertNoSecret(content, emulator.appSecret)
    expect(content).not.toContain('eyJ')
    expect([...opened.origins]).toEqual([url])
    expect(opened.problems).toEqual([])
  })

  it.each(['light', 'dark'] as const)('is accessible: %s', async colorScheme => {
    await page.emulateMedia({ colorScheme })
    await button('30 % fail').click()
    await button('One user fails').click()
    await page.keyboard.type('bob')
    await page.keyboard.press('Enter')
    await mint(started)
    await mint(started, { identity: 'bob' })
    await untilRow('bob')
    await page.locator('summary, td').first().click()
    expect(await seriousFindings(page)).toEqual([])
  })
})
