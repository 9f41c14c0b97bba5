import { describe, expect, it } from '@jest/globals'
import { getEventListeners } from 'node:events'
import { Flights } from '../../../lib/cache/flights.js'
import {
  VKitAuthenticationError,
  VKitPermissionError,
  VKitServerError,
  VKitTimeoutError,
} from '../../../lib/core/errors.js'
import { Events, type VKitEvent } from '../../../lib/core/events.js'
import { instant } from '../../../lib/core/instant.js'
import { FakeClock } from '../../../lib/testing/index.js'
import type { MintedToken, SessionToken } from '../../../lib/token/session-token.js'
import { CacheHarness } from '../../support/cache.js'
import { failureOf, reasonOf } from '../../support/failure.js'
import { makeSharedStore } from '../../support/shared-store.js'

function manual(options?: ConstructorParameters<typeof CacheHarness>[0]): CacheHarness {
  const h = new CacheHarness(options)
  h.manual = true
  return h
}

/** Mints a token, and makes its time of refresh come. */
async function fillWithDueToken(h: CacheHarness): Promise<SessionToken> {
  const first = h.get()
  await h.settle()
  h.mints[0]?.succeed()
  const token = await first
  await h.clock.advance(0.95 * h.lifetimeMs)
  return token
}

describe('a flight', () => {
  it('knows when the first of its callers needs the result, and tells when one joins', async () => {
    const clock = new FakeClock()
    const flights = new Flights<string>(clock)
    const request = { identity: 'user', scopes: [] }
    const limits = { timeoutMs: 5_000, maxRetries: 2 }
    const background = { request, limits, priority: 'refresh', mustMint: false, isReload: false } as const
    const flight = flights.start('key', { ...background, deadlineMs: 15_000, waitMs: Infinity }, async () => 'result')
    expect([flight.isAwaited, flight.neededAt]).toEqual([false, Infinity])
    let joined = 0
    flight.onJoin = () => {
      joined++
    }
    for (const waitMs of [3_000, 1_000, 2_000]) flights.join('key', { priority: 'call', limits, waitMs })
    expect([flight.isAwaited, flight.neededAt, joined]).toEqual([true, 1_000, 3])
    await flight.outcome
  })

  it('is shared by 10,000 callers', async () => {
    const h = manual()
    const calls = Array.from({ length: 10_000 }, () => h.get())
    await h.settle()
    h.mints[0]?.succeed()
    const tokens = await Promise.all(calls)
    expect(new Set(tokens).size).toBe(1)
    expect(h.mints).toHaveLength(1)
    expect([h.count('miss'), h.count('coalesced')]).toEqual([1, 9_999])
  })

  it('needs one timer for all callers who wait for its whole duration', async () => {
    const h = manual()
    const calls = Array.from({ length: 100 }, () => h.get())
    await h.settle()
    expect(h.clock.sleepers).toBe(1)
    h.mints[0]?.succeed()
    await Promise.all(calls)
    expect(h.clock.sleepers).toBe(0)
  })

  it('creates no error for callers who have left', async () => {
    const error = new VKitServerError('down')
    let copies = 0
    Object.defineProperty(error, 'cause', {
      get() {
        copies++
      },
    })
    const h = manual()
    const leaving = new AbortController()
    const left = Array.from({ length: 1_000 }, () => reasonOf(h.get('user', { signal: leaving.signal })))
    const stayed = reasonOf(h.get())
    await h.settle()
    leaving.abort(new Error('gone'))
    await Promise.all(left)
    h.mints[0]?.fail(error)
    expect(await stayed).toBeInstanceOf(VKitServerError)
    // Only the caller who stayed gets a copy.
    expect(copies).toBe(1)
  })

  it('of a background refresh takes the priority of a caller who joins it', async () => {
    const h = manual()
    const first = h.get()
    await h.settle()
    h.mints[0]?.succeed()
    await first
    await h.clock.advance(h.lifetimeMs / 2)
    await h.get()
    await h.settle()
    expect(h.mints[1]?.priority.level).toBe('refresh')
    const joined = h.get('user', { minValidityMs: h.lifetimeMs - 1 })
    await h.settle()
    expect([h.mints.length, h.mints[1]?.priority.level]).toEqual([2, 'call'])
    h.mints[1]?.succeed()
    await joined
  })

  it('has the highest limits of its callers, and those of the client for a caller who sets none', async () => {
    const h = manual()
    const calls = [
      h.get('one', { limits: { timeoutMs: 100, maxRetries: 0 } }),
      h.get('two', { limits: { timeoutMs: 100, maxRetries: 0 } }),
      h.get('three'),
      h.get('four', { mode: 'no-store', limits: { timeoutMs: 100, maxRetries: 0 } }),
    ]
    await h.settle()
    calls.push(h.get('two', { limits: { timeoutMs: 50, maxRetries: 7 } }), h.get('one'))
    expect(h.mints.map(({ limits: { timeoutMs, maxRetries } }) => [timeoutMs, maxRetries])).toEqual([
      [100, 0],
      [5_000, 2],
      [100, 7],
      [5_000, 2],
    ])
    for (const mint of h.mints) mint.succeed()
    await Promise.all(calls)
  })

  it('that a short timeout ended does not delay the next refresh of its token', async () => {
    const h = manual()
    const old = await fillWithDueToken(h)
    const limits = { timeoutMs: 100, maxRetries: 0 }
    const call = h.get('user', { minValidityMs: h.lifetimeMs - 1, limits })
    await h.settle()
    h.mints[1]?.fail(new VKitTimeoutError('slow', { attempts: 1 }))
    expect(await call).toBe(old)
    expect(await h.get()).toBe(old)
    await h.settle()
    expect(h.mints[2]?.limits).toMatchObject({ timeoutMs: 5_000, maxRetries: 2 })
    h.mints[2]?.succeed()
  })

  it.each([
    ["a timeout of the client's own length", 5_000, new VKitTimeoutError('slow', { attempts: 1 })],
    ['another error of a call with a short timeout', 100, new VKitServerError('down', { attempts: 1 })],
  ])('that ended with %s delays the next refresh of its token', async (_, timeoutMs, error) => {
    const h = manual()
    const old = await fillWithDueToken(h)
    const call = h.get('user', { minValidityMs: h.lifetimeMs - 1, limits: { timeoutMs, maxRetries: 0 } })
    await h.settle()
    h.mints[1]?.fail(error)
    expect(await call).toBe(old)
    expect(await h.get()).toBe(old)
    await h.settle()
    expect(h.mints).toHaveLength(2)
  })

  it('that a short timeout ended fails with that timeout, also if it is the first of its user', async () => {
    const h = new CacheHarness()
    h.failure = () => new VKitTimeoutError('slow', { attempts: 1 })
    expect((await failureOf(h.get('user', { limits: { timeoutMs: 100, maxRetries: 0 } }))).message).toBe('slow')
  })

  it('is shared per identity and scopes', async () => {
    const h = manual()
    const calls = [h.get('a'), h.get('b'), h.get('a', { scopes: ['s'] }), h.get('a')]
    await h.settle()
    for (const mint of h.mints) mint.succeed()
    await Promise.all(calls)
    expect(h.mints.map(mint => mint.request)).toEqual([
      { identity: 'a', scopes: [] },
      { identity: 'b', scopes: [] },
      { identity: 'a', scopes: ['s'] },
    ])
  })

  it('is not shared between two caches', async () => {
    const [one, two] = [manual(), manual()]
    const calls = [one.get(), two.get()]
    await one.settle()
    expect([one.mints.length, two.mints.length]).toEqual([1, 1])
    for (const h of [one, two]) h.mints[0]?.succeed()
    expect(new Set(await Promise.all(calls)).size).toBe(2)
  })

  it('continues when its first caller aborts', async () => {
    const h = manual()
    const leaving = new AbortController()
    const first = reasonOf(h.get('user', { signal: leaving.signal }))
    const second = h.getText()
    await h.settle()
    const reason = new Error('closed the tab')
    leaving.abort(reason)
    expect(await first).toBe(reason)
    h.mints[0]?.succeed()
    expect(await second).toBe('token-1')
  })

  it('continues when the short deadline of its first caller passes', async () => {
    const h = manual()
    const shortCall = failureOf(h.get('user', { deadlineMs: 50 }))
    const longCall = h.getText()
    await h.clock.advance(51)
    expect(await shortCall).toMatchObject({ code: 'VKIT_TIMEOUT', retryable: true })
    h.mints[0]?.succeed()
    expect(await longCall).toBe('token-1')
  })

  it('ends at its own deadline', async () => {
    const h = manual()
    const call = failureOf(h.get())
    await h.clock.advance(15_000)
    expect(await call).toMatchObject({ code: 'VKIT_TIMEOUT' })
    expect(h.mints[0]?.deadline.signal.aborted).toBe(true)
    expect(h.cache.inFlight).toBe(0)
  })

  it('lasts until the deadline of its first caller if that is later than the default one', async () => {
    const h = manual()
    const call = h.getText('user', { deadlineMs: 60_000 })
    await h.clock.advance(59_000)
    h.mints[0]?.succeed()
    expect(await call).toBe('token-1')
  })

  it('fills the cache when all its callers have left', async () => {
    const h = manual()
    const leaving = new AbortController()
    const calls = [reasonOf(h.get('user', { signal: leaving.signal })), failureOf(h.get('user', { deadlineMs: 10 }))]
    await h.clock.advance(11)
    leaving.abort()
    await Promise.all(calls)
    h.mints[0]?.succeed()
    await h.settle()
    expect(await h.getText()).toBe('token-1')
    expect(h.mints).toHaveLength(1)
  })

  it("rejects with the signal's reason, unchanged, of any type", async () => {
    const h = manual()
    const leaving = new AbortController()
    const call = reasonOf(h.get('user', { signal: leaving.signal }))
    leaving.abort('a string')
    expect(await call).toBe('a string')
    expect(await reasonOf(h.get('user', { signal: leaving.signal }))).toBe('a string')
    expect(await reasonOf(h.get('user', { signal: leaving.signal, mode: 'no-store' }))).toBe('a string')
  })

  it('rejects a caller whom an event listener aborts, and continues', async () => {
    const leaving = new AbortController()
    const h = manual({ events: new Events(() => leaving.abort('gone')) })
    expect(await reasonOf(h.get('user', { signal: leaving.signal }))).toBe('gone')
    await h.settle()
    h.mints[0]?.succeed()
    expect(await h.getText()).toBe('token-1')
  })

  it('gives a caller with a minimum validity the token with an unreadable expiry', async () => {
    const h = manual()
    const call = h.getText('user', { minValidityMs: 60_000 })
    await h.settle()
    h.mints[0]?.succeedUncacheably()
    expect(await call).toBe('token-1')
  })

  it('adds one listener to a signal that 50,000 calls share, and removes it at the end', async () => {
    const h = manual()
    const { signal } = new AbortController()
    const calls = Array.from({ length: 50_000 }, () => h.get('user', { signal }))
    await h.settle()
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    h.mints[0]?.succeed()
    await Promise.all(calls)
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  it('rejects each caller with a separate error object, and does not cache the failure', async () => {
    const h = manual()
    const calls = Array.from({ length: 1_000 }, () => failureOf(h.get()))
    await h.settle()
    h.mints[0]?.fail(new VKitServerError('down', { status: 503, attempts: 3 }))
    const errors = await Promise.all(calls)
    expect(new Set(errors).size).toBe(1_000)
    for (const error of errors) expect(error.toJSON()).toEqual(errors[0]?.toJSON())

    Object.assign(errors[0] ?? {}, { mark: 'mine' })
    expect(errors[1]).not.toHaveProperty('mark')
    const next = h.getText()
    await h.settle()
    h.mints[1]?.succeed()
    expect(await next).toBe('token-2')
  })

  it('continues when the cache evicts entries at its capacity', async () => {
    const h = manual({ maxEntries: 1 })
    const slow = h.getText('slow')
    const quick = ['a', 'b', 'c'].map(identity => h.get(identity))
    await h.settle()
    for (const mint of h.mints.slice(1)) mint.succeed()
    await Promise.all(quick)
    expect(h.count('eviction')).toBe(2)
    h.mints[0]?.succeed()
    expect(await slow).toBe('token-1')
    expect(h.cache.size).toBe(1)
  })
})

describe("'reload'", () => {
  it('mints although a fresh token is cached, and caches the new one', async () => {
    const h = new CacheHarness()
    await h.get()
    expect(await h.getText('user', { mode: 'reload' })).toBe('token-2')
    expect(await h.getText()).toBe('token-2')
  })

  it('does not join an earlier flight, whose late token is not cached', async () => {
    const h = manual()
    const older = h.getText()
    await h.settle()
    const reload = h.getText('user', { mode: 'reload' })
    const joining = h.getText()
    await h.settle()
    expect(h.mints).toHaveLength(2)
    h.mints[1]?.succeed()
    expect(await Promise.all([reload, joining])).toEqual(['token-2', 'token-2'])
    h.mints[0]?.succeed()
    expect(await older).toBe('token-1')
    expect(await h.getText()).toBe('token-2')
  })

  it('counts from its return on, although a later reload is in flight or fails', async () => {
    const h = manual()
    const cached = h.getText()
    await h.settle()
    h.mints[0]?.succeed()
    await cached
    const first = h.getText('user', { mode: 'reload' })
    await h.settle()
    const second = h.getText('user', { mode: 'reload' })
    await h.settle()
    h.mints[1]?.succeed()
    expect(await first).toBe('token-2')
    expect(await h.getText()).toBe('token-2')
    h.mints[2]?.fail(new VKitServerError('down', { attempts: 1, status: 503, requestId: undefined }))
    await expect(second).rejects.toThrow('down')
    expect(await h.getText()).toBe('token-2')
  })

  it('is cached although 12,000 later ones are in flight', async () => {
    const h = manual()
    const reloads: Promise<string>[] = []
    for (let i = 0; i < 12_000; i++) {
      reloads.push(h.getText('user', { mode: 'reload' }))
      await h.settle()
    }
    h.mints[0]?.succeed()
    expect(await reloads[0]).toBe('token-1')
    expect(h.cache.size).toBe(1)
    for (const mint of h.mints) mint.succeed()
    expect(await reloads.at(-1)).toBe('token-12000')
    expect(await h.getText()).toBe('token-12000')
  })

  it('loses against an invalidation, although a later reload is in flight', async () => {
    const h = manual()
    const first = h.getText('user', { mode: 'reload' })
    await h.settle()
    const second = h.getText('user', { mode: 'reload' })
    await h.settle()
    await h.cache.invalidate({ identity: 'user', scopes: [] })
    for (const mint of h.mints) mint.succeed()
    expect(await Promise.all([first, second])).toEqual(['token-1', 'token-2'])
    expect(h.cache.size).toBe(0)
  })

  it('sends one request for 500 calls in one tick while an older request is in flight', async () => {
    const h = manual()
    const older = h.getText()
    await h.settle()
    const reloads = Array.from({ length: 500 }, () => h.getText('user', { mode: 'reload' }))
    await h.settle()
    expect(h.mints).toHaveLength(2)
    h.mints[1]?.succeed()
    expect(new Set(await Promise.all(reloads))).toEqual(new Set(['token-2']))
    h.mints[0]?.succeed()
    expect(await older).toBe('token-1')
    expect(await h.getText()).toBe('token-2')
  })

  it('joins a flight only while its request is queued', async () => {
    const h = manual()
    h.queued = true
    const first = h.getText()
    await h.settle()
    const joined = h.getText('user', { mode: 'reload' })
    await h.settle()
    expect(h.mints).toHaveLength(1)
    h.mints[0]?.send()
    const late = h.getText('user', { mode: 'reload' })
    await h.settle()
    expect(h.mints).toHaveLength(2)
    for (const mint of h.mints) mint.succeed()
    expect(await Promise.all([first, joined, late])).toEqual(['token-1', 'token-1', 'token-2'])
  })

  it('joins a flight only if at least half of its own time is left to it', async () => {
    const h = manual()
    h.queued = true
    const first = failureOf(h.get())
    await h.clock.advance(7_500)
    const joined = failureOf(h.get('user', { mode: 'reload' }))
    await h.clock.advance(1)
    expect(h.mints).toHaveLength(1)
    const reload = h.getText('user', { mode: 'reload' })
    await h.settle()
    h.mints[1]?.succeed()
    expect(await reload).toBe('token-2')
    await h.clock.advance(7_499)
    for (const call of [first, joined]) expect((await call).code).toBe('VKIT_TIMEOUT')
  })

  it('returns a minted token if it joins a flight that is reading the shared store', async () => {
    let resolveRead: (stored: MintedToken) => void = () => undefined
    const h = new CacheHarness({
      sharedStore: makeSharedStore({ read: () => new Promise(resolve => (resolveRead = resolve)) }),
    })
    const first = h.getText()
    await h.settle()
    const reload = h.getText('user', { mode: 'reload' })
    const token = { sessionToken: 'stored', expiresAt: '', identity: 'user', scopes: [] }
    resolveRead({ token, lifetime: { start: instant(h.clock), ms: h.lifetimeMs } })
    expect(await Promise.all([first, reload])).toEqual(['token-1', 'token-1'])
  })

  it('keeps the cached token if it fails', async () => {
    const h = new CacheHarness()
    await h.get()
    h.failure = () => new VKitServerError('down')
    await expect(h.get('user', { mode: 'reload' })).rejects.toMatchObject({ code: 'VKIT_UNAVAILABLE' })
    expect(await h.getText()).toBe('token-1')
  })
})

describe("'no-store'", () => {
  it('neither reads nor writes the cache, and does not join a flight', async () => {
    const h = manual()
    const cached = h.getText()
    const uncached = h.getText('user', { mode: 'no-store' })
    await h.settle()
    for (const mint of h.mints) mint.succeed()
    expect(await Promise.all([cached, uncached])).toEqual(['token-2', 'token-1'])
    expect(await h.getText()).toBe('token-2')
  })

  it('mints nothing if an event listener aborts it', async () => {
    const leaving = new AbortController()
    const h = new CacheHarness({ events: new Events(() => leaving.abort('gone')) })
    expect(await reasonOf(h.get('user', { mode: 'no-store', signal: leaving.signal }))).toBe('gone')
    expect(h.mints).toHaveLength(0)
  })

  it('removes its listener from the signal at the end', async () => {
    const { signal } = new AbortController()
    await new CacheHarness().get('user', { mode: 'no-store', signal })
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('ends its flight when its caller aborts', async () => {
    const h = manual()
    const leaving = new AbortController()
    const call = reasonOf(h.get('user', { mode: 'no-store', signal: leaving.signal }))
    await h.settle()
    leaving.abort('gone')
    expect(await call).toBe('gone')
    await h.settle()
    expect(h.mints[0]?.deadline.signal.aborted).toBe(true)
    expect([h.cache.inFlight, h.clock.sleepers, h.count('failure')]).toEqual([0, 0, 0])
  })
})

describe('invalidate', () => {
  const request = { identity: 'user', scopes: [] }

  it('during a flight delivers its token to the waiting callers, but does not cache it', async () => {
    const h = manual()
    const waiting = h.getText()
    await h.settle()
    await h.cache.invalidate(request)
    const next = h.getText()
    await h.settle()
    h.mints[0]?.succeed()
    expect(await waiting).toBe('token-1')
    expect(h.cache.size).toBe(0)
    h.mints[1]?.succeed()
    expect(await next).toBe('token-2')
    expect(await h.getText()).toBe('token-2')
  })

  it('during a background flight prevents its late token from being cached', async () => {
    const h = new CacheHarness()
    await h.get()
    await h.clock.advance(1_800_000)
    h.manual = true
    await h.get()
    await h.settle()
    await h.cache.invalidate(request)
    h.mints[1]?.succeed()
    await h.settle()
    expect(h.cache.size).toBe(0)
  })

  it('with a token removes that token', async () => {
    const h = new CacheHarness()
    const { sessionToken } = await h.get()
    await h.cache.invalidate(request, sessionToken)
    expect(await h.getText()).toBe('token-2')
  })

  it('with a token keeps the one that has replaced it', async () => {
    const h = new CacheHarness()
    const { sessionToken } = await h.get()
    await h.get('user', { mode: 'reload' })
    await h.cache.invalidate(request, sessionToken)
    expect(await h.getText()).toBe('token-2')
    expect(h.count('invalidation')).toBe(0)
  })

  it('with a token mints once for many callers who were refused with it', async () => {
    const h = new CacheHarness()
    const { sessionToken } = await h.get()
    await Promise.all(
      Array.from({ length: 100 }, async () => {
        await h.cache.invalidate(request, sessionToken)
        await h.get()
      }),
    )
    expect(h.mints).toHaveLength(2)
  })

  it('affects only the same scopes', async () => {
    const h = new CacheHarness()
    await h.get('user', { scopes: ['a'] })
    await h.get()
    await h.cache.invalidate({ identity: 'user', scopes: ['a'] })
    expect(await h.getText()).toBe('token-2')
    expect(await h.getText('user', { scopes: ['a'] })).toBe('token-3')
  })
})

describe('close', () => {
  it('ends every flight with VKIT_CLOSED, and empties the cache', async () => {
    const h = manual()
    const calls = [failureOf(h.get()), failureOf(h.get('other')), failureOf(h.get('user', { mode: 'no-store' }))]
    await h.settle()
    h.cache.close()
    for (const error of await Promise.all(calls)) expect(error.code).toBe('VKIT_CLOSED')
    expect([h.cache.size, h.cache.inFlight, h.clock.sleepers]).toEqual([0, 0, 0])
    expect(await failureOf(h.get())).toMatchObject({ code: 'VKIT_CLOSED' })
    expect(await failureOf(h.cache.invalidate({ identity: 'user', scopes: [] }))).toMatchObject({ code: 'VKIT_CLOSED' })
  })

  it('leaves the cache empty during a mint that never settles', async () => {
    const h = manual({ mint: () => new Promise(() => undefined) })
    void h.get().catch(() => undefined)
    await h.settle()
    h.cache.close()
    expect(h.cache.size).toBe(0)
  })
})

describe('a call that waited while minting failed', () => {
  it('returns the token of another mint that succeeded meanwhile', async () => {
    const h = new CacheHarness()
    await h.get()
    await h.clock.advance(3_600_000 - 30_000)
    h.manual = true
    const waiting = h.getText('user', { deadlineMs: 100 })
    await h.settle()
    const reload = h.getText('user', { mode: 'reload' })
    await h.settle()
    h.mints[2]?.succeed()
    expect(await reload).toBe('token-3')
    h.mints[1]?.fail(new VKitServerError('down'))
    expect(await waiting).toBe('token-3')
  })

  it('that is forgotten and fails changes nothing for the newer token', async () => {
    const h = manual()
    const failing = failureOf(h.get())
    await h.settle()
    await h.cache.invalidate({ identity: 'user', scopes: [] })
    const newer = h.get()
    await h.settle()
    h.mints[1]?.succeed()
    await newer
    h.mints[0]?.fail(new VKitPermissionError('no', { status: 403 }))
    expect((await failing).message).toBe('no')
    expect(await h.getText()).toBe('token-2')
    expect(h.count('eviction')).toBe(0)
  })

  it('does not return a token that was invalidated meanwhile', async () => {
    const h = new CacheHarness()
    await h.get()
    await h.clock.advance(3_600_000 - 30_000)
    h.manual = true
    const waiting = failureOf(h.get())
    await h.settle()
    await h.cache.invalidate({ identity: 'user', scopes: [] })
    h.mints[1]?.fail(new VKitServerError('down'))
    expect(await waiting).toMatchObject({ code: 'VKIT_UNAVAILABLE' })
  })

  it('rejects with the reason of its abort although the old token is valid', async () => {
    const h = new CacheHarness()
    await h.get()
    await h.clock.advance(3_600_000 - 30_000)
    h.manual = true
    const leaving = new AbortController()
    const waiting = reasonOf(h.get('user', { signal: leaving.signal }))
    await h.settle()
    const reason = new VKitServerError('a retryable error of ours, used as a reason')
    leaving.abort(reason)
    expect(await waiting).toBe(reason)
  })
})

describe('events', () => {
  it('distinguish a failure in the background from one that a caller waits for', async () => {
    const h = new CacheHarness()
    h.failure = () => new VKitAuthenticationError('no', { status: 401, requestId: 'request-1', attempts: 1 })
    await reasonOf(h.get())
    h.failure = undefined
    await h.get()
    await h.clock.advance(1_800_000)
    h.failure = () => new VKitServerError('down', { attempts: 3 })
    await h.get()
    await h.settle()
    expect(h.events.filter(event => event.type === 'failure')).toEqual([
      {
        ...{ type: 'failure', code: 'VKIT_UNAUTHENTICATED', retryable: false, attempts: 1, background: false },
        ...{ status: 401, requestId: 'request-1' },
      },
      { type: 'failure', code: 'VKIT_UNAVAILABLE', retryable: true, attempts: 3, background: true },
    ])
  })

  it('count each call once: as a hit, a miss or a coalesced call', async () => {
    const h = new CacheHarness()
    await Promise.all(Array.from({ length: 10 }, () => h.get()))
    for (let i = 0; i < 5; i++) await h.get()
    await h.get('user', { mode: 'no-store' })
    await h.get('user', { mode: 'reload' })
    await h.clock.advance(3_600_000 - 30_000)
    h.failure = () => new VKitServerError('down', { retryAfterMs: 10_000 })
    for (let i = 0; i < 3; i++) await h.get()
    expect([h.count('hit'), h.count('miss'), h.count('coalesced')]).toEqual([7, 4, 9])
  })

  it('contain no token and no identity', async () => {
    const h = new CacheHarness({ maxEntries: 1 })
    for (const identity of ['secret-person', 'other-person']) await h.get(identity, { minValidityMs: 1e12 })
    await h.clock.advance(1_800_000)
    h.failure = () => new VKitServerError('down')
    await h.get('other-person')
    await h.settle()
    await h.cache.invalidate({ identity: 'other-person', scopes: [] })
    expect(JSON.stringify(h.events)).not.toMatch(/person|token-/)
    expect(new Set(h.events.map(event => event.type))).toEqual(
      new Set(['miss', 'short-lived', 'eviction', 'hit', 'refresh', 'failure', 'invalidation']),
    )
  })

  it('may call the cache from their listener', async () => {
    const tokens: Promise<string>[] = []
    const listener = (event: VKitEvent): void => {
      if (event.type === 'eviction') tokens.push(h.getText('b'))
    }
    const h = new CacheHarness({ maxEntries: 1, events: new Events(listener) })
    await h.get('a')
    await h.get('b')
    expect(await Promise.all(tokens)).toEqual(['token-2'])
  })
})
