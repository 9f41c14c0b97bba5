import { describe, expect, it } from '@jest/globals'
import { getEventListeners } from 'node:events'
import { VKitAuthenticationError, VKitServerError } from '../../../lib/core/errors.js'
import { Events, type VKitEvent } from '../../../lib/core/events.js'
import { instant } from '../../../lib/core/instant.js'
import type { MintedToken } from '../../../lib/token/session-token.js'
import { CacheHarness } from '../../support/cache.js'
import { failureOf, reasonOf } from '../../support/failure.js'

function manual(options?: ConstructorParameters<typeof CacheHarness>[0]): CacheHarness {
  const h = new CacheHarness(options)
  h.manual = true
  return h
}

describe('a flight', () => {
  it('is one for 10,000 callers', async () => {
    const h = manual()
    const calls = Array.from({ length: 10_000 }, () => h.get())
    await h.settle()
    h.mints[0]?.succeed()
    const tokens = await Promise.all(calls)
    expect(new Set(tokens).size).toBe(1)
    expect(h.mints).toHaveLength(1)
    expect([h.count('miss'), h.count('coalesced')]).toEqual([1, 9_999])
  })

  it('needs no timer of each caller who waits as long as it does', async () => {
    const h = manual()
    const calls = Array.from({ length: 100 }, () => h.get())
    await h.settle()
    expect(h.clock.sleepers).toBe(1)
    h.mints[0]?.succeed()
    await Promise.all(calls)
    expect(h.clock.sleepers).toBe(0)
  })

  it('makes no error for callers who have left', async () => {
    let made = 0
    class CountedError extends VKitServerError {
      constructor(message: string) {
        super(message)
        made++
      }
    }
    const h = manual()
    const leaving = new AbortController()
    const left = Array.from({ length: 1_000 }, () => reasonOf(h.get('user', { signal: leaving.signal })))
    const stayed = reasonOf(h.get())
    await h.settle()
    leaving.abort(new Error('gone'))
    await Promise.all(left)
    h.mints[0]?.fail(new CountedError('down'))
    expect(await stayed).toBeInstanceOf(CountedError)
    // The one that the flight failed with, and the one for the caller who stayed.
    expect(made).toBe(2)
  })

  it('of a background refresh becomes as urgent as the caller who joins it', async () => {
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

  it('is one per identity and scopes', async () => {
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

  it('is of one cache: nothing is shared between two', async () => {
    const [one, two] = [manual(), manual()]
    const calls = [one.get(), two.get()]
    await one.settle()
    expect([one.mints.length, two.mints.length]).toEqual([1, 1])
    for (const h of [one, two]) h.mints[0]?.succeed()
    expect(new Set(await Promise.all(calls)).size).toBe(2)
  })

  it("is not hurt by its first caller's abort", async () => {
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

  it("is not hurt by its first caller's short deadline", async () => {
    const h = manual()
    const hasty = failureOf(h.get('user', { deadlineMs: 50 }))
    const patient = h.getText()
    await h.clock.advance(51)
    expect(await hasty).toMatchObject({ code: 'VKIT_TIMEOUT', retryable: true })
    h.mints[0]?.succeed()
    expect(await patient).toBe('token-1')
  })

  it('ends with a deadline of its own', async () => {
    const h = manual()
    const call = failureOf(h.get())
    await h.clock.advance(15_000)
    expect(await call).toMatchObject({ code: 'VKIT_TIMEOUT' })
    expect(h.mints[0]?.deadline.signal.aborted).toBe(true)
    expect(h.cache.inFlight).toBe(0)
  })

  it('lasts as long as a first caller who has more time than the client gives', async () => {
    const h = manual()
    const call = h.getText('user', { deadlineMs: 60_000 })
    await h.clock.advance(59_000)
    h.mints[0]?.succeed()
    expect(await call).toBe('token-1')
  })

  it('warms the cache when all its callers are gone', async () => {
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

  it("rejects with the signal's reason, untouched, whatever it is", async () => {
    const h = manual()
    const leaving = new AbortController()
    const call = reasonOf(h.get('user', { signal: leaving.signal }))
    leaving.abort('a string')
    expect(await call).toBe('a string')
    expect(await reasonOf(h.get('user', { signal: leaving.signal }))).toBe('a string')
    expect(await reasonOf(h.get('user', { signal: leaving.signal, mode: 'no-store' }))).toBe('a string')
  })

  it('leaves one listener at most on a signal that 50,000 calls share, and none at the end', async () => {
    const h = manual()
    const { signal } = new AbortController()
    const calls = Array.from({ length: 50_000 }, () => h.get('user', { signal }))
    await h.settle()
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    h.mints[0]?.succeed()
    await Promise.all(calls)
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  it('shares its failure as error objects of their own, and nobody sees it again', async () => {
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

  it('is not ended by the eviction of its entry for want of room', async () => {
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
  it('mints although a fresh token is cached, and keeps the new one', async () => {
    const h = new CacheHarness()
    await h.get()
    expect(await h.getText('user', { mode: 'reload' })).toBe('token-2')
    expect(await h.getText()).toBe('token-2')
  })

  it('joins no flight that began before it, whose late answer is not kept', async () => {
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

  it('500 times in one tick is one request, and one more while an older request is under way', async () => {
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

  it('joins a flight whose request is still queued, and no longer once it has been sent', async () => {
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

  it('joins no flight that is nearly out of time', async () => {
    const h = manual()
    h.queued = true
    const first = failureOf(h.get())
    await h.clock.advance(14_000)
    const reload = h.getText('user', { mode: 'reload' })
    await h.settle()
    h.mints[1]?.succeed()
    expect(await reload).toBe('token-2')
    await h.clock.advance(1_000)
    expect((await first).code).toBe('VKIT_TIMEOUT')
  })

  it('that joins a flight which is reading the shared store gets a minted token', async () => {
    let answer: (stored: MintedToken) => void = () => undefined
    const h = new CacheHarness({
      sharedStore: {
        read: () => new Promise(resolve => (answer = resolve)),
        write: () => undefined,
        remove: () => Promise.resolve(),
        flush: () => Promise.resolve(),
      },
    })
    const first = h.getText()
    await h.settle()
    const reload = h.getText('user', { mode: 'reload' })
    const token = { sessionToken: 'stored', expiresAt: '', identity: 'user', scopes: [] }
    answer({ token, lifetime: { start: instant(h.clock), ms: h.lifetimeMs } })
    expect(await Promise.all([first, reload])).toEqual(['token-1', 'token-1'])
  })

  it('that fails leaves the cached token', async () => {
    const h = new CacheHarness()
    await h.get()
    h.failure = () => new VKitServerError('down')
    await expect(h.get('user', { mode: 'reload' })).rejects.toMatchObject({ code: 'VKIT_UNAVAILABLE' })
    expect(await h.getText()).toBe('token-1')
  })
})

describe("'no-store'", () => {
  it('neither reads nor writes the cache, and joins no flight', async () => {
    const h = manual()
    const kept = h.getText()
    const alone = h.getText('user', { mode: 'no-store' })
    await h.settle()
    for (const mint of h.mints) mint.succeed()
    expect(await Promise.all([kept, alone])).toEqual(['token-2', 'token-1'])
    expect(await h.getText()).toBe('token-2')
  })

  it('ends its flight when its caller leaves', async () => {
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

  it('during a flight: those who wait get its token, which is not kept', async () => {
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

  it('during a background flight: its late answer is not kept', async () => {
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

  it('with a token forgets that one', async () => {
    const h = new CacheHarness()
    const { sessionToken } = await h.get()
    await h.cache.invalidate(request, sessionToken)
    expect(await h.getText()).toBe('token-2')
  })

  it('with a token keeps what has replaced it', async () => {
    const h = new CacheHarness()
    const { sessionToken } = await h.get()
    await h.get('user', { mode: 'reload' })
    await h.cache.invalidate(request, sessionToken)
    expect(await h.getText()).toBe('token-2')
    expect(h.count('invalidation')).toBe(0)
  })

  it('with a token lets many who were refused with it mint once', async () => {
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

  it('reaches the same scopes alone', async () => {
    const h = new CacheHarness()
    await h.get('user', { scopes: ['a'] })
    await h.get()
    await h.cache.invalidate({ identity: 'user', scopes: ['a'] })
    expect(await h.getText()).toBe('token-2')
    expect(await h.getText('user', { scopes: ['a'] })).toBe('token-3')
  })
})

describe('close', () => {
  it('ends every flight with VKIT_CLOSED, and keeps nothing', async () => {
    const h = manual()
    const calls = [failureOf(h.get()), failureOf(h.get('other')), failureOf(h.get('user', { mode: 'no-store' }))]
    await h.settle()
    h.cache.close()
    for (const error of await Promise.all(calls)) expect(error.code).toBe('VKIT_CLOSED')
    expect([h.cache.size, h.cache.inFlight, h.clock.sleepers]).toEqual([0, 0, 0])
    expect(await failureOf(h.get())).toMatchObject({ code: 'VKIT_CLOSED' })
    expect(await failureOf(h.cache.invalidate({ identity: 'user', scopes: [] }))).toMatchObject({ code: 'VKIT_CLOSED' })
  })

  it('keeps no late answer', async () => {
    const h = manual({ mint: () => new Promise(() => undefined) })
    void h.get().catch(() => undefined)
    await h.settle()
    h.cache.close()
    expect(h.cache.size).toBe(0)
  })
})

describe('a call that waited while minting failed', () => {
  it('is served what another mint brought meanwhile', async () => {
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

  it('is not served a token that was forgotten meanwhile', async () => {
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

  it('rejects with its own reason when it was aborted, however valid the old token is', async () => {
    const h = new CacheHarness()
    await h.get()
    await h.clock.advance(3_600_000 - 30_000)
    h.manual = true
    const leaving = new AbortController()
    const waiting = reasonOf(h.get('user', { signal: leaving.signal }))
    await h.settle()
    const reason = new VKitServerError('a retryable error of ours, given as a reason')
    leaving.abort(reason)
    expect(await waiting).toBe(reason)
  })
})

describe('events', () => {
  it('tell a failure in the background from one that somebody waits for', async () => {
    const h = new CacheHarness()
    h.failure = () => new VKitAuthenticationError('no', { status: 401, attempts: 1 })
    await reasonOf(h.get())
    h.failure = undefined
    await h.get()
    await h.clock.advance(1_800_000)
    h.failure = () => new VKitServerError('down', { attempts: 3 })
    await h.get()
    await h.settle()
    expect(h.events.filter(event => event.type === 'failure')).toEqual([
      { type: 'failure', code: 'VKIT_UNAUTHENTICATED', retryable: false, attempts: 1, background: false },
      { type: 'failure', code: 'VKIT_UNAVAILABLE', retryable: true, attempts: 3, background: true },
    ])
  })

  it('count each call once: as a hit, a miss, or one that joined', async () => {
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

  it('hold no token and no identity', async () => {
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

  it('may call the cache that tells them', async () => {
    const answers: Promise<string>[] = []
    const listener = (event: VKitEvent): void => {
      if (event.type === 'eviction') answers.push(h.getText('b'))
    }
    const h = new CacheHarness({ maxEntries: 1, events: new Events(listener) })
    await h.get('a')
    await h.get('b')
    expect(await Promise.all(answers)).toEqual(['token-2'])
  })
})
