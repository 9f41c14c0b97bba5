import { describe, expect, it } from '@jest/globals'
import { VKitServerError } from '../../../lib/core/errors.js'
import { Events, type VKitEventType } from '../../../lib/core/events.js'
import type { TokenCall } from '../../../lib/token/token-request.js'
import { CacheHarness } from '../../support/cache.js'
import { failureOf, reasonOf } from '../../support/failure.js'

const HOUR_MS = 3_600_000
const CLOSED = 'The client is closed. Create a new VKitClient.'
const call: TokenCall = { mode: 'default', deadlineMs: 15_000 }

describe('the fast path', () => {
  it('returns a fresh token by the arguments of the caller, and counts a hit', async () => {
    const h = new CacheHarness()
    await h.get()
    await h.get('user', { scopes: ['a', 'b'] })
    h.cache.remember({ identity: 'user', scopes: ['a', 'b'] }, ['b', 'a'])
    expect(h.cache.peek('user', undefined, call)?.sessionToken).toBe('token-1')
    expect(h.cache.peek('user', ['b', 'a'], call)?.sessionToken).toBe('token-2')
    expect(h.count('hit')).toBe(2)
    expect(h.cache.peek('user', ['a', 'b'], call)).toBeUndefined()
    expect(h.cache.peek('other', undefined, call)).toBeUndefined()
    expect(h.cache.peek(42, undefined, call)).toBeUndefined()
    expect(h.count('hit')).toBe(2)
  })

  it.each<[string, Partial<TokenCall>]>([
    ["with 'reload'", { mode: 'reload' }],
    ["with 'no-store'", { mode: 'no-store' }],
    ['whose signal has aborted', { signal: AbortSignal.abort() }],
    ['that needs a longer validity', { minValidityMs: HOUR_MS - 999 }],
  ])('returns nothing to a call %s, and neither does the usual path', async (_, options) => {
    const h = new CacheHarness()
    await h.get()
    await h.clock.advance(1_000)
    const request = { identity: 'user', scopes: [] }
    expect(h.cache.peek('user', undefined, { ...call, minValidityMs: HOUR_MS - 1_000 })).toBeDefined()
    expect(h.cache.find(request, { ...call, minValidityMs: HOUR_MS - 1_000 })).toBeDefined()
    expect(h.cache.peek('user', undefined, { ...call, ...options })).toBeUndefined()
    expect(h.cache.find(request, { ...call, ...options })).toBeUndefined()
    expect(h.count('hit')).toBe(2)
  })

  it.each([
    ['a refresh is due', {}, HOUR_MS / 2],
    ['less than minValidityMs of the client is left', { refreshAhead: 1, minValidityMs: 900_000 }, HOUR_MS - 900_000],
  ])('leaves a token to the usual path when %s', async (_, options, afterMs) => {
    const h = new CacheHarness({ random: () => 0, ...options })
    await h.get()
    await h.clock.advance(afterMs - 1)
    expect(h.cache.peek('user', undefined, call)).toBeDefined()
    await h.clock.advance(1)
    expect(h.cache.peek('user', undefined, call)).toBeUndefined()
    expect(h.cache.find({ identity: 'user', scopes: [] }, call)).toBeDefined()
  })

  it('returns a token whose refresh is pending', async () => {
    const h = new CacheHarness()
    await h.get()
    await h.clock.advance(HOUR_MS / 2)
    h.manual = true
    await h.get()
    await h.settle()
    expect(h.cache.peek('user', undefined, call)?.sessionToken).toBe('token-1')
  })

  it('returns nothing after hide, although pending calls still get cached tokens', async () => {
    const h = new CacheHarness()
    await h.get()
    h.cache.hide()
    expect(h.cache.peek('user', undefined, call)).toBeUndefined()
    expect(await h.getText()).toBe('token-1')
  })

  it('keeps a token that it returns from being the first to be evicted', async () => {
    const h = new CacheHarness({ maxEntries: 2 })
    for (const identity of ['old', 'new']) await h.get(identity)
    h.cache.peek('old', undefined, call)
    await h.get('newest')
    expect(['old', 'new'].map(identity => h.cache.peek(identity, undefined, call)?.identity)).toEqual([
      'old',
      undefined,
    ])
  })
})

describe('a call', () => {
  it('finds the request of the pending flight that it would join', async () => {
    const h = new CacheHarness()
    h.manual = true
    const request = { identity: 'user', scopes: ['a', 'b'] }
    h.cache.remember(request, ['b', 'a'])
    const pending = h.cache.get(request, call)
    expect(h.cache.pendingRequest('user', ['b', 'a'])).toBe(request)
    expect(h.cache.pendingRequest('user', undefined)).toBeUndefined()
    expect(h.cache.pendingRequest('user', ['a', 'b'])).toBeUndefined()
    expect(h.cache.pendingRequest(undefined, undefined)).toBeUndefined()
    await h.settle()
    h.mints[0]?.succeed()
    await pending
    expect(h.cache.pendingRequest('user', ['b', 'a'])).toBeUndefined()
  })

  it('is told if it joins a flight, and only then', async () => {
    const h = new CacheHarness()
    h.manual = true
    const joined: string[] = []
    const calls = ['first', 'second', 'third'].map(name => h.get('user', { onJoin: () => joined.push(name) }))
    await h.settle()
    h.mints[0]?.succeed()
    await Promise.all(calls)
    expect(joined).toEqual(['second', 'third'])
  })

  it.each<[string, Partial<TokenCall>]>([
    ['call', {}],
    ['bulk', { isBulk: true }],
    ['call', { mode: 'no-store' }],
    ['bulk', { mode: 'no-store', isBulk: true }],
  ])("mints with the priority '%s' for %j", async (level, options) => {
    const h = new CacheHarness()
    await h.get('user', options)
    expect(h.mints[0]?.priority.level).toBe(level)
  })

  it("with 'no-store' that fails emits the failure, as one that a caller waits for", async () => {
    const h = new CacheHarness()
    h.failure = () => new VKitServerError('down', { status: 503, attempts: 3 })
    expect(await failureOf(h.get('user', { mode: 'no-store' }))).toMatchObject({ message: 'down', attempts: 3 })
    expect(h.events).toEqual([
      { type: 'miss' },
      { type: 'failure', code: 'VKIT_UNAVAILABLE', retryable: true, attempts: 3, background: false, status: 503 },
    ])
  })

  it("with 'no-store' gets an event about a short validity too", async () => {
    const h = new CacheHarness({ minValidityMs: 2 * HOUR_MS })
    await h.get('user', { mode: 'no-store' })
    expect(h.events.at(-1)).toEqual({ type: 'short-lived', validityMs: HOUR_MS, minValidityMs: 2 * HOUR_MS })
  })

  it('says in its error how long it waited', async () => {
    const h = new CacheHarness()
    h.lifetimeMs = 1_000
    await h.get('late')
    await h.clock.advance(1_000)
    h.manual = true
    const late = failureOf(h.get('late', { deadlineMs: 40 }))
    const calls = [{ deadlineMs: 50 }, { mode: 'no-store', deadlineMs: 60 } as const].map(options =>
      failureOf(h.get('user', options)),
    )
    await h.clock.advance(60)
    const errors = await Promise.all([late, ...calls])
    expect(errors.map(({ message }) => message)).toEqual([
      'No session token within 40 ms.',
      'No session token within 50 ms.',
      'No session token within 60 ms.',
    ])
  })

  it('whose signal has aborted starts nothing', async () => {
    const h = new CacheHarness()
    for (const mode of ['default', 'reload', 'no-store'] as const)
      expect(await reasonOf(h.get('user', { mode, signal: AbortSignal.abort('left') }))).toBe('left')
    expect([h.events, h.mints]).toEqual([[], []])
  })
})

describe('a listener that closes the client', () => {
  async function setUp(closeAt: VKitEventType): Promise<CacheHarness> {
    const h: CacheHarness = new CacheHarness({
      events: new Events(event => {
        h.events.push(event)
        if (event.type === closeAt) h.cache.close()
      }),
    })
    return h
  }

  it.each(['default', 'reload', 'no-store'] as const)('at a miss makes a call fail without a mint: %s', async mode => {
    const h = await setUp('miss')
    expect((await failureOf(h.get('user', { mode }))).message).toBe(CLOSED)
    expect([h.mints.length, h.cache.inFlight, h.clock.sleepers]).toEqual([0, 0, 0])
  })

  it('at a refresh lets the call have the cached token, and prevents the mint', async () => {
    const h = await setUp('refresh')
    await h.get()
    await h.clock.advance(HOUR_MS / 2)
    expect(await h.getText()).toBe('token-1')
    await h.settle()
    expect([h.mints.length, h.cache.inFlight]).toEqual([1, 0])
  })
})

describe('a closed cache', () => {
  it('refuses every call and every invalidation', async () => {
    const h = new CacheHarness()
    await h.get()
    h.cache.close()
    expect(h.cache.peek('user', undefined, call)).toBeUndefined()
    for (const mode of ['default', 'reload', 'no-store'] as const)
      expect((await failureOf(h.get('user', { mode }))).message).toBe(CLOSED)
    expect((await failureOf(h.cache.invalidate({ identity: 'user', scopes: [] }))).message).toBe(CLOSED)
    expect([h.mints.length, h.count('miss'), h.count('invalidation')]).toEqual([1, 1, 0])
  })
})

it('is idle once no flight is pending, also one with no-store and one that starts meanwhile', async () => {
  const h = new CacheHarness()
  h.manual = true
  const state = { isIdle: false }
  await h.cache.idle()
  const calls = [h.get(), h.get('other', { mode: 'no-store' })]
  void h.cache.idle().then(() => (state.isIdle = true))
  await h.settle()
  h.mints[0]?.succeed()
  await h.settle()
  calls.push(h.get('third'))
  await h.settle()
  h.mints[1]?.succeed()
  await h.settle()
  expect(state.isIdle).toBe(false)
  h.mints[2]?.succeed()
  await h.settle()
  expect(state.isIdle).toBe(true)
  await Promise.all(calls)
})
