import { afterAll, afterEach, beforeAll, expect, it, jest } from '@jest/globals'
import type { Browser } from 'playwright-core'
import { assertNoSecret } from '../../../lib/testing/index.js'
import { chromiumOnPath, openPage, seriousFindings, startBrowser } from '../../support/browser.js'
import { describeWith } from '../../support/needs.js'
import { untilTrue } from '../../support/until.js'
import { Demo, LIFETIME_S, SCRIPT } from './demo.js'

const SIGNED_OUT = 'Signed out.'
const VALID = 'Signed in, with a valid token.'
const INVALID = 'Signed in, without a valid token.'

describeWith(chromiumOnPath, 'the demo page', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await startBrowser()
  })
  afterAll(() => browser.close())
  afterEach(() => void jest.restoreAllMocks())

  it('goes on for a known user while the emulator is "Down", and gives a new user a token when it is back', async () => {
    const demo = await Demo.open(browser)
    const { page: steering } = await openPage(browser)
    await steering.goto(demo.server.steering)
    const pressDown = async (status: string): Promise<void> => {
      await steering.getByRole('button', { name: 'Down' }).click()
      await steering.getByRole('status').filter({ hasText: status }).waitFor()
    }
    await demo.signIn('anna')
    await demo.shows('anna', VALID)
    await pressDown('On: Down, Short-lived tokens')
    const warn = jest.spyOn(console, 'warn').mockReturnValue()
    await demo.signIn('bob')
    await demo.shows('bob', INVALID)
    await demo.shows('bob', /^The token endpoint responded with 503\. Trying again in \d s\.$/)

    // Anna's page asks again after half of the time left.
    await demo.pass(LIFETIME_S / 2)
    await demo.shows('anna', VALID)
    await demo.shows('anna', 'none')
    await demo.shows('bob', INVALID)

    await pressDown('On: Short-lived tokens')
    await demo.pass(10)
    await demo.shows('bob', VALID)
    expect(demo.opened.problems.filter(problem => !problem.includes('503'))).toEqual([])
    expect(new Set(warn.mock.calls.flat())).toEqual(new Set(['No session token for bob: VKIT_CONNECTION']))
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
