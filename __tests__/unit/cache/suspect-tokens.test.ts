import { describe, expect, it } from '@jest/globals'
import { VKitServerError } from '../../../lib/core/errors.js'
import { instant } from '../../../lib/core/instant.js'
import type { StoredToken } from '../../../lib/store/shared-store.js'
import type { MintedToken } from '../../../lib/token/session-token.js'
import { CacheHarness } from '../../support/cache.js'
import { failureOf, reasonOf } from '../../support/failure.js'
import { makeSharedStore } from '../../support/shared-store.js'

const HOUR_MS = 3_600_000
const request = { identity: 'user', scopes: [] }

/** A cache with one token, `token-1`, and a shared store whose answer to a check is in `stored`. */
async function setUp() {
  const answers = { stored: 'absent' as StoredToken, checks: 0, gate: undefined as Promise<void> | undefined }
  const sharedStore = makeSharedStore({
    read: async () => (typeof answers.stored === 'object' ? answers.stored : undefined),
    check: async () => {
      answers.checks++
      const { stored } = answers
      await answers.gate
      return stored
    },
  })
  const h = new CacheHarness({ sharedStore })
  const token = (sessionToken: string, leftMs = HOUR_MS): MintedToken => {
    const { wall, monotonic } = instant(h.clock)
    const agedMs = HOUR_MS - leftMs
    const lifetime = { start: { wall: wall - agedMs, monotonic: monotonic - agedMs }, ms: HOUR_MS }
    return { token: { sessionToken, expiresAt: '2031-01-01T00:00:00Z', ...request }, lifetime }
  }
  /** Delays the answers of the store until the returned function is called. */
  const hold = (): (() => void) => {
    let open: () => void = () => undefined
    answers.gate = new Promise(resolve => (open = resolve))
    return open
  }
  expect(await h.getText()).toBe('token-1')
  h.events.length = 0
  return { h, answers, token, hold }
}

/** As before, after messages were missed. */
async function setUpAfterGap(stored: (token: (text: string) => MintedToken) => StoredToken) {
  const all = await setUp()
  all.answers.stored = stored(all.token)
  all.h.cache.onGapEnd()
  return all
}

const call = { mode: 'default', deadlineMs: 15_000 } as const

describe('a token from before a gap', () => {
  it('is not returned without a check', async () => {
    const { h, answers } = await setUpAfterGap(token => token('token-1'))
    expect(h.cache.peek('user', undefined, call)).toBeUndefined()
    expect(h.cache.find(request, call)).toBeUndefined()
    expect(answers.checks).toBe(0)
  })

  it('is checked once, and confirmed by the same token in the store', async () => {
    const { h, answers } = await setUpAfterGap(token => token('token-1'))
    for (let i = 0; i < 3; i++) expect(await h.getText()).toBe('token-1')
    expect(h.cache.peek('user', undefined, call)?.sessionToken).toBe('token-1')
    expect([answers.checks, h.mints.length]).toEqual([1, 1])
    expect(h.count('hit')).toBe(4)
  })

  it('is replaced by another token in the store', async () => {
    const { h, answers, token } = await setUp()
    await h.clock.advance(1_000)
    answers.stored = token('theirs')
    h.cache.onGapEnd()
    for (let i = 0; i < 3; i++) expect(await h.getText()).toBe('theirs')
    expect([answers.checks, h.mints.length, h.count('store-hit')]).toEqual([1, 1, 1])
  })

  it('is replaced by another token in the store, even if the last refresh has failed', async () => {
    const { h, answers, token } = await setUp()
    await h.clock.advance(0.7 * HOUR_MS)
    h.failure = () => new VKitServerError('down', { status: 503, retryable: true })
    await h.getText()
    await h.settle()
    answers.stored = token('theirs')
    h.cache.onGapEnd()
    expect(await h.getText()).toBe('theirs')
  })

  it('is replaced by a mint if the store has none', async () => {
    const { h, answers } = await setUpAfterGap(() => 'absent')
    expect(await h.getText()).toBe('token-2')
    expect(await h.getText()).toBe('token-2')
    expect(answers.checks).toBe(1)
  })

  it('is served while the store cannot be read, and checked again each time', async () => {
    const { h, answers, token } = await setUpAfterGap(() => 'unreadable')
    for (let i = 1; i <= 3; i++) {
      expect(await h.getText()).toBe('token-1')
      expect(answers.checks).toBe(i)
    }
    answers.stored = token('token-1')
    for (let i = 0; i < 3; i++) await h.getText()
    expect([answers.checks, h.mints.length]).toEqual([4, 1])
  })

  it('starts a refresh that is due only after the check', async () => {
    const { h, hold } = await setUpAfterGap(token => token('token-1'))
    await h.clock.advance(0.7 * HOUR_MS)
    const open = hold()
    const got = h.getText()
    await h.settle()
    expect([h.count('refresh'), h.mints.length]).toEqual([0, 1])
    open()
    expect(await got).toBe('token-1')
    await h.settle()
    expect([h.count('refresh'), h.mints.length]).toEqual([1, 2])
  })

  it('is checked once for all callers at a time', async () => {
    const { h, answers, hold } = await setUpAfterGap(token => token('token-1'))
    const open = hold()
    const calls = Array.from({ length: 100 }, () => h.getText())
    await h.settle()
    open()
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['token-1']))
    expect(answers.checks).toBe(1)
  })

  it('is minted once for all callers if the store has none', async () => {
    const { h, answers } = await setUpAfterGap(() => 'absent')
    const tokens = await Promise.all(Array.from({ length: 100 }, () => h.getText()))
    expect(new Set(tokens)).toEqual(new Set(['token-2']))
    expect([answers.checks, h.mints.length]).toEqual([1, 2])
  })

  it('is not returned to a caller whose signal aborted during the check', async () => {
    const { h, hold } = await setUpAfterGap(token => token('token-1'))
    const open = hold()
    const control = new AbortController()
    const outcome = reasonOf(h.get('user', { signal: control.signal }))
    const reason = new Error('gone')
    control.abort(reason)
    expect(await outcome).toBe(reason)
    open()
  })

  it('is served when the time of the call ends before the check', async () => {
    const { h, answers, hold } = await setUpAfterGap(() => 'absent')
    const open = hold()
    const got = h.getText('user', { deadlineMs: 50 })
    await h.settle()
    await h.clock.advance(50)
    expect(await got).toBe('token-1')
    expect([answers.checks, h.mints.length]).toEqual([1, 1])
    open()
    expect(await h.getText()).toBe('token-2')
  })

  it('is served when the time of the call ends during the mint after the check', async () => {
    const { h, hold } = await setUpAfterGap(() => 'absent')
    h.manual = true
    const open = hold()
    const got = h.getText('user', { deadlineMs: 50 })
    await h.clock.advance(30)
    open()
    await h.clock.advance(19)
    expect([h.mints.length, h.count('served-while-failing')]).toEqual([2, 0])
    await h.clock.advance(1)
    expect(h.count('served-while-failing')).toBe(1)
    expect(await got).toBe('token-1')
  })

  it('is not returned by a cache that was closed during the check', async () => {
    const { h, hold } = await setUpAfterGap(token => token('token-1'))
    const open = hold()
    const outcome = failureOf(h.get())
    await h.settle()
    h.cache.close()
    open()
    expect((await outcome).code).toBe('VKIT_CLOSED')
  })

  it('is not returned if it was invalidated during the check', async () => {
    const { h, answers, hold } = await setUpAfterGap(token => token('token-1'))
    const open = hold()
    const got = h.getText()
    await h.settle()
    await h.cache.invalidate(request)
    answers.stored = 'absent'
    open()
    expect(await got).toBe('token-2')
  })

  it('stays suspect if another gap ends during the check, which is made again', async () => {
    const { h, answers, hold } = await setUpAfterGap(token => token('token-1'))
    const open = hold()
    const first = h.getText()
    await h.settle()
    answers.stored = 'absent'
    h.cache.onGapEnd()
    const second = h.getText()
    open()
    await Promise.all([first, second])
    expect(answers.checks).toBe(2)
    expect(await h.getText()).toBe('token-2')
  })

  it('is suspect too if its mint began before the end of the gap', async () => {
    const { h, answers, token } = await setUp()
    h.manual = true
    const got = h.getText('other')
    await h.settle()
    h.cache.onGapEnd()
    h.mints[1]?.succeed()
    expect(await got).toBe('token-2')
    answers.stored = token('token-2')
    expect(await h.getText('other')).toBe('token-2')
    expect(answers.checks).toBe(1)
    expect(await h.getText('other')).toBe('token-2')
    expect(answers.checks).toBe(1)
  })

  it('does not concern a token that was minted afterwards', async () => {
    const { h, answers } = await setUpAfterGap(() => 'absent')
    await h.getText('other')
    await h.getText('other')
    expect(answers.checks).toBe(0)
  })

  it('is not used by a reload, which needs no check', async () => {
    const { h, answers } = await setUpAfterGap(token => token('token-1'))
    expect(await h.getText('user', { mode: 'reload' })).toBe('token-2')
    expect(answers.checks).toBe(0)
  })

  it('is served if the store has none and no other can be minted', async () => {
    const { h } = await setUpAfterGap(() => 'absent')
    h.failure = () => new VKitServerError('down', { status: 503, retryable: true })
    expect(await h.getText()).toBe('token-1')
    expect(h.count('served-while-failing')).toBe(1)
  })
})

describe('an invalidation of another process', () => {
  const invalidation = (isCovered: boolean, ageMs = -Infinity) => ({ request, ageMs, covers: () => isCovered })

  it('removes a token that it covers, and tells so', async () => {
    const { h } = await setUp()
    expect(h.cache.onInvalidation(invalidation(true))).toBe(true)
    expect(h.cache.size).toBe(0)
  })

  it('keeps a newer token', async () => {
    const { h } = await setUp()
    expect(h.cache.onInvalidation(invalidation(false))).toBe(false)
    expect(await h.getText()).toBe('token-1')
  })

  it('does nothing for another request', async () => {
    const { h } = await setUp()
    const other = { identity: 'user', scopes: ['videos.read'] }
    expect(h.cache.onInvalidation({ ...invalidation(true), request: other })).toBe(false)
    expect(h.cache.size).toBe(1)
  })

  it('forgets a flight that may be older: its token goes only to those who wait', async () => {
    const { h } = await setUp()
    h.manual = true
    const waiting = h.getText('other')
    await h.settle()
    h.cache.onInvalidation({ ...invalidation(true), request: { identity: 'other', scopes: [] } })
    const later = h.getText('other')
    await h.settle()
    for (const mint of h.mints) mint.succeed()
    expect([await waiting, await later, await h.getText('other')]).toEqual(['token-2', 'token-3', 'token-3'])
  })

  it('keeps a flight that began after it, and no other', async () => {
    const { h } = await setUp()
    await h.clock.advance(10_000)
    h.manual = true
    const calls = [h.getText('other')]
    await h.clock.advance(1_000)
    for (const ageMs of [1_001, 1_000]) {
      h.cache.onInvalidation({ ...invalidation(true, ageMs), request: { identity: 'other', scopes: [] } })
      calls.push(h.getText('other'))
      await h.settle()
    }
    for (const mint of h.mints) mint.succeed()
    expect(await Promise.all(calls)).toEqual(['token-2', 'token-2', 'token-3'])
  })

  it('does not end the refreshes of a token that it keeps', async () => {
    const { h } = await setUp()
    await h.clock.advance(0.7 * HOUR_MS)
    h.manual = true
    await h.getText()
    await h.settle()
    h.cache.onInvalidation(invalidation(false))
    h.mints[1]?.succeed()
    await h.settle()
    expect(await h.getText()).toBe('token-2')
  })

  it('that comes during a check leaves the token removed', async () => {
    const { h, answers, hold } = await setUpAfterGap(token => token('token-1'))
    const open = hold()
    const got = h.getText()
    await h.settle()
    h.cache.onInvalidation(invalidation(true))
    answers.stored = 'absent'
    open()
    expect(await got).toBe('token-2')
  })
})
