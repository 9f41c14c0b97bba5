import { describe, expect, it } from '@jest/globals'
import { setImmediate as turn } from 'node:timers/promises'
import { TokenCache } from '../../../lib/cache/token-cache.js'
import { Deadline } from '../../../lib/core/deadline.js'
import { Events } from '../../../lib/core/events.js'
import { instant } from '../../../lib/core/instant.js'
import type { MintOptions } from '../../../lib/gateway/token-minter.js'
import { SecretSource } from '../../../lib/secret/secret-source.js'
import { EncryptedStore } from '../../../lib/store/encrypted-store.js'
import type { ForeignInvalidation } from '../../../lib/store/shared-store.js'
import type { TokenStore } from '../../../lib/store/token-store.js'
import { FakeClock } from '../../../lib/testing/index.js'
import type { MintedToken } from '../../../lib/token/session-token.js'
import type { TokenCall, TokenRequest } from '../../../lib/token/token-request.js'
import { failureOf } from '../../support/failure.js'
import { recordEvents } from '../../support/gateway.js'
import { MemoryStore } from '../../support/memory-store.js'
import { seededRandom } from '../../support/random.js'
import { RecordingStore } from '../../support/recording-store.js'
import { turnOfThreads } from '../../support/threads.js'
import { untilTrue } from '../../support/until.js'

const HOUR = 3_600_000
const random = seededRandom()
const request: TokenRequest = { identity: 'user', scopes: [] }
const call: TokenCall = { mode: 'default', deadlineMs: 15_000 }
const ENDPOINT = new URL('https://gateway.video.io/v1/sessions')

/** The number of tokens minted by all processes, so that no two tokens are the same. */
let minted = 0

/** Creates one process: a cache with a shared store, and a mint that resolves immediately. */
function setUp(store: TokenStore, { clock = new FakeClock(), secret = (): string | Promise<string> => 'secret' } = {}) {
  const { events: emitted, types, onEvent } = recordEvents()
  const events = new Events(onEvent)
  let mints = 0
  const process = {
    clock,
    emitted,
    types,
    lifetimeMs: HOUR,
    get mints() {
      return mints
    },
    source: new SecretSource({ rotates: true, read: async () => secret() }),
  }
  const mint = async (tokenRequest: TokenRequest, { deadline }: MintOptions): Promise<MintedToken> => {
    await process.source.read(deadline)
    const start = { wall: clock.now(), monotonic: clock.monotonic() }
    const expiresAt = new Date(clock.now() + process.lifetimeMs).toISOString()
    mints++
    const token = Object.freeze({ sessionToken: `token-${++minted}`, expiresAt, ...tokenRequest })
    return { token, lifetime: { start, ms: process.lifetimeMs } }
  }
  const sharedStore = new EncryptedStore({
    store,
    secret: process.source,
    endpoint: () => ENDPOINT,
    deadlineMs: 15_000,
    clock,
    events,
    random,
  })
  const cache = new TokenCache({
    mint,
    medianMintMs: () => undefined,
    maxEntries: 100,
    refreshAhead: 0.5,
    deadlineMs: 15_000,
    timeoutMs: 5_000,
    maxRetries: 2,
    sharedStore,
    clock,
    events,
    random,
  })
  return Object.assign(process, { cache, sharedStore })
}

/** Advances the clock until `promise` settles. Returns how many milliseconds it took. */
async function costOf(clock: FakeClock, promise: Promise<unknown>, stepMs = 10): Promise<number> {
  const start = clock.monotonic()
  let end: number | undefined
  void promise.finally(() => (end = clock.monotonic()))
  for (;;) {
    for (let i = 0; i < 10 && end === undefined; i++) {
      await turnOfThreads()
      await turn()
    }
    if (end !== undefined) return end - start
    await clock.advance(stepMs)
  }
}

async function untilWritten(process: { sharedStore: EncryptedStore }): Promise<void> {
  await process.sharedStore.flush()
}

const never = (): Promise<never> => new Promise(() => undefined)

describe('a failing store', () => {
  const stores: [string, TokenStore][] = [
    ['hangs', { get: never, set: never, delete: never }],
    ['throws', { get: () => boom(), set: () => boom(), delete: () => boom() }],
    ['rejects', { get: async () => boom(), set: async () => boom(), delete: async () => boom() }],
    ['returns garbage', { get: () => ({ not: 'ours' }), set: () => Symbol('?'), delete: () => null }],
    ['loses its writes', { get: () => undefined, set: () => true, delete: () => true }],
  ]

  it.each(stores)('that %s delays 50 calls by at most 250 ms in total, and causes no error', async (_, store) => {
    const process = setUp(store)
    let cost = 0
    for (let i = 0; i < 50; i++) {
      const identity = `user-${i}`
      cost += await costOf(process.clock, process.cache.get({ identity, scopes: [] }, call))
    }
    expect(cost).toBeLessThanOrEqual(250)
    expect(process.mints).toBe(50)
  })

  it('that hangs only in writes does not delay a caller', async () => {
    const process = setUp({ get: () => undefined, set: never, delete: never })
    expect(await costOf(process.clock, process.cache.get(request, call))).toBe(0)
  })

  it('that hangs delays invalidate by at most 200 ms', async () => {
    const process = setUp({ get: never, set: never, delete: never })
    expect(await costOf(process.clock, process.cache.invalidate(request))).toBeLessThanOrEqual(100)
    const other = setUp({ get: never, set: never, delete: never })
    expect(await costOf(other.clock, other.cache.invalidate(request, 'token'))).toBeLessThanOrEqual(200)
  })

  it('does not hide that the secret provider timed out', async () => {
    let providerCalls = 0
    const process = setUp(new Map<string, string>(), { secret: () => (providerCalls++, never()) })
    const outcome = failureOf(process.cache.get(request, call))
    await process.clock.advance(call.deadlineMs)
    const error = await outcome
    expect(error).toMatchObject({ code: 'VKIT_TIMEOUT', retryable: false })
    expect(error.message).toContain('The app secret provider did not return')
    expect([providerCalls, process.mints]).toEqual([1, 0])
    expect(process.emitted).toContainEqual(
      expect.objectContaining({ type: 'failure', code: 'VKIT_TIMEOUT', retryable: false }),
    )
  })

  it('that hangs delays a read no longer than the deadline of the call', async () => {
    const process = setUp({ get: never, set: never, delete: never })
    const deadline = new Deadline(process.clock, 30, () => new Error('deadline'))
    expect(await costOf(process.clock, process.sharedStore.read(request, deadline))).toBe(30)
    expect(process.types()).toEqual([])
  })
})

describe('callers with different minValidityMs', () => {
  const eager = { ...call, minValidityMs: 0.75 * HOUR }

  /** Stores a token that is valid for another half hour. */
  async function setUpHalfSpent() {
    const store = new RecordingStore(new Map())
    const first = setUp(store)
    await first.cache.get(request, call)
    await untilWritten(first)
    await first.clock.advance(HOUR / 2)
    return { first, second: setUp(store, { clock: first.clock }) }
  }

  it('share the stored token, and one mint if the stored token is not valid for long enough', async () => {
    const { second } = await setUpHalfSpent()
    const calls = [call, eager, eager, call, eager].map(each => second.cache.get(request, each))
    const tokens = (await Promise.all(calls)).map(token => token.sessionToken)
    expect(second.mints).toBe(1)
    expect(tokens[0]).toBe(tokens[3])
    expect(tokens[1]).not.toBe(tokens[0])
    expect(new Set(tokens).size).toBe(2)
  })

  it('do not mint if no token of this lifetime is valid for long enough', async () => {
    const { second } = await setUpHalfSpent()
    const calls = [call, { ...call, minValidityMs: 2 * HOUR }]
    await Promise.all(calls.map(each => second.cache.get(request, each)))
    expect(second.mints).toBe(0)
  })

  it('share one mint if new tokens are short-lived', async () => {
    const { second } = await setUpHalfSpent()
    second.lifetimeMs = 1_000
    await Promise.all([call, eager, eager].map(each => second.cache.get(request, each)))
    expect(second.mints).toBe(1)
  })
})

describe('a removal', () => {
  it('has been passed to the store when flush resolves', async () => {
    const removed: string[] = []
    const { clock, sharedStore, source } = setUp({ get: never, set: never, delete: key => void removed.push(key) })
    await source.read(new Deadline(clock, 1, () => new Error()))
    void sharedStore.remove(request)
    await sharedStore.flush()
    expect(removed).toHaveLength(1)
  })
})

describe('a write', () => {
  it.each([0, -1, NaN, Infinity, 0.4, 1e300])('is skipped for a lifetime of %d ms', async ms => {
    const store = new RecordingStore(new Map())
    const { clock, sharedStore, source } = setUp(store)
    await source.read(new Deadline(clock, 1, () => new Error()))
    const start = { wall: clock.now(), monotonic: clock.monotonic() }
    const token = { sessionToken: 'token', expiresAt: '2031-01-01T00:00:00Z', ...request }
    await sharedStore.write(request, { token, lifetime: { start, ms } }, false)
    await sharedStore.flush()
    expect(store.writes).toEqual([])
  })

  it('has the remaining lifetime in whole milliseconds as its ttlMs', async () => {
    const store = new RecordingStore(new Map())
    const process = setUp(store)
    process.lifetimeMs = 90_000.7
    await process.cache.get(request, call)
    await untilWritten(process)
    expect(store.writes.map(write => write.ttlMs)).toEqual([90_000])
  })

  it('is encrypted with the secret of the mint, which is not read again', async () => {
    let providerCalls = 0
    const process = setUp(new RecordingStore(new Map()), { secret: () => `secret-${++providerCalls}` })
    await process.cache.get(request, call)
    await untilWritten(process)
    // The provider is called once for the read and once for the mint.
    expect(providerCalls).toBe(2)
    const store = new RecordingStore(new Map())
    const rotating = setUp(store, { secret: () => 'old' })
    await rotating.cache.get(request, call)
    await untilWritten(rotating)
    const later = setUp(store, { secret: () => 'new' })
    await later.cache.get(request, call)
    expect(later.mints).toBe(1)
    expect(later.types()).not.toContain('store-failure')
  })
})

describe('an invalidated token', () => {
  it('does not return after a write that the store applies late', async () => {
    const store = new RecordingStore(new Map())
    const process = setUp(store)
    const release = store.holdWrites()
    await process.cache.get(request, call)
    await untilWritten(process)
    await process.cache.invalidate(request)
    await release()
    expect(store.inner.size).toBe(0)
    const other = setUp(store)
    await other.cache.get(request, call)
    expect(other.mints).toBe(1)
  })

  it('does not return after a write whose record was still being encrypted', async () => {
    const store = new RecordingStore(new Map())
    const process = setUp(store)
    await process.cache.get(request, call)
    await process.cache.invalidate(request)
    await untilWritten(process)
    await store.idle()
    expect(store.inner.size).toBe(0)
  })

  it('does not return after a late write, and its successor stays, if invalidate names the token', async () => {
    const store = new RecordingStore(new Map())
    const process = setUp(store)
    const release = store.holdWrites()
    const first = await process.cache.get(request, call)
    await untilWritten(process)
    await process.cache.invalidate(request, first.sessionToken)
    await release()
    // The removal is repeated after the write and decrypts the record on a thread, for which no clock can be advanced.
    while (store.inner.size > 0) await new Promise(resolve => setImmediate(resolve))

    const second = await process.cache.get(request, call)
    await untilWritten(process)
    await process.cache.invalidate(request, first.sessionToken)
    await store.idle()
    expect(store.inner.size).toBe(1)
    expect(await setUp(store).cache.get(request, call)).toEqual(second)
  })

  it('is not read again from a store that loses removals', async () => {
    const store = new RecordingStore(new Map())
    store.losesRemovals = true
    const process = setUp(store)
    const first = await process.cache.get(request, call)
    await untilWritten(process)
    await process.cache.invalidate(request)
    // The new token is not written yet, so the store still contains the first one.
    const release = store.holdWrites()
    expect(await process.cache.get(request, call)).not.toEqual(first)
    expect(process.emitted).toContainEqual({ type: 'store-failure', operation: 'get', reason: 'invalidated' })
    await release()
    expect(store.inner.size).toBe(1)
  })

  it('does not stay in the store if a process whose clock is ahead has stored it', async () => {
    const store = new RecordingStore(new Map())
    const ahead = setUp(store, { clock: new FakeClock('2030-01-01T00:10:00Z') })
    await ahead.cache.get(request, call)
    await untilWritten(ahead)
    expect(store.inner.size).toBe(1)
    await setUp(store).cache.invalidate(request)
    expect(store.inner.size).toBe(0)
  })

  it('does not block a new token that is minted in the same millisecond', async () => {
    const store = new RecordingStore(new Map())
    const process = setUp(store)
    await process.cache.get(request, call)
    await process.cache.invalidate(request)
    const second = await process.cache.get(request, call)
    await untilWritten(process)
    await store.idle()
    expect(await process.sharedStore.check(request)).toMatchObject({ token: second })
    expect(await setUp(store).cache.get(request, call)).toEqual(second)
  })
})

describe('the store of a process', () => {
  const limit = (clock: FakeClock): Deadline => new Deadline(clock, 15_000, () => new Error('late'))

  /** Its secret is known, and it is subscribed. */
  async function setUpSubscribed(clock = new FakeClock(), store = new MemoryStore(clock)) {
    const process = setUp(store, { clock })
    await process.source.read(limit(clock))
    await process.sharedStore.check(request)
    await untilTrue(() => process.types().includes('subscription-start'))
    process.emitted.length = store.operations.length = 0
    const heard: ForeignInvalidation[] = []
    const mintNow = (): MintedToken => {
      const start = instant(clock)
      const expiresAt = new Date(start.wall + HOUR).toISOString()
      return { token: { sessionToken: 'token', expiresAt, ...request }, lifetime: { start, ms: HOUR } }
    }
    const listen = () =>
      process.sharedStore.listen({ onInvalidation: each => heard.push(each) > 0, onGapEnd: () => undefined })
    const keysOf = (operation: string): string[] =>
      store.operations.flatMap(each => (each.operation === operation ? [each.key] : []))
    return { ...process, store, heard, listen, mintNow, keysOf }
  }

  it('returns nothing, and emits nothing, if there is nothing or the store does not respond', async () => {
    const hanging = { get: never, set: never, delete: never }
    for (const [store, checked, isAsked] of [
      [new RecordingStore(new Map<string, string>()), 'absent', true],
      [new RecordingStore(hanging), 'unreadable', true],
      [new RecordingStore(new Map<string, string>()), 'unreadable', false],
    ] as const) {
      const { clock, source, sharedStore, types } = setUp(store)
      if (isAsked) {
        expect(await costOf(clock, sharedStore.read(request, limit(clock)))).toBe(checked === 'absent' ? 0 : 100)
        await source.read(limit(clock))
      }
      const outcome = sharedStore.check(request)
      await costOf(clock, outcome)
      // Before the secret is known, the provider is not called for it.
      expect([await outcome, store.keys.length]).toEqual([checked, isAsked ? 2 : 0])
      if (checked === 'absent') {
        expect([await sharedStore.read(request, limit(clock)), types()]).toEqual([undefined, []])
      }
    }
  })

  it('has nothing if the secret cannot be read, which the error of the mint explains', async () => {
    const { clock, sharedStore } = setUp(new Map<string, string>(), {
      secret: () => Promise.reject(new Error('no secret')),
    })
    expect(await sharedStore.read(request, limit(clock))).toBeUndefined()
  })

  it('does not write a token whose lifetime is not known', async () => {
    const { sharedStore, mintNow, keysOf } = await setUpSubscribed()
    expect(await sharedStore.write(request, { token: mintNow().token }, false)).toBeUndefined()
    expect(keysOf('set')).toEqual([])
  })

  it.each(['set', 'delete'] as const)('has changed a record when the store has done its %s', async operation => {
    const { sharedStore, store, mintNow, keysOf, clock } = await setUpSubscribed()
    const release = store.hold(operation)
    let isDone = false
    const change = operation === 'set' ? sharedStore.write(request, mintNow(), false) : sharedStore.remove(request)
    void change.then(() => (isDone = true))
    await untilTrue(() => keysOf(operation).length > 0)
    await clock.advance(0)
    expect(isDone).toBe(false)
    release()
    await untilTrue(() => isDone)
  })

  it('removes a record that cannot be read when one of its tokens is invalidated', async () => {
    const { sharedStore, store, mintNow, keysOf } = await setUpSubscribed()
    await sharedStore.write(request, mintNow(), false)
    const [key = ''] = keysOf('set')
    await sharedStore.invalidate(request, 'another')
    expect(await store.get(key)).toBeDefined()
    await store.set(key, 'not a record', HOUR)
    await sharedStore.invalidate(request, 'another')
    expect(await store.get(key)).toBeUndefined()
  })

  it('has the lease of a record, once the secret is known', async () => {
    const { sharedStore, store, mintNow, keysOf } = await setUpSubscribed()
    await sharedStore.write(request, mintNow(), false)
    const lease = await sharedStore.lease(request)
    expect([await lease?.take(), store.leases]).toEqual(['taken', keysOf('set')])
    lease?.release()
    expect(await setUp(store).sharedStore.lease(request)).toBeUndefined()
    const withoutLeases = setUp(new Map<string, string>())
    await withoutLeases.cache.get(request, call)
    expect(await withoutLeases.sharedStore.lease(request)).toBeUndefined()
  })

  it('is closed when its changes have been made, and frees its leases and its subscription', async () => {
    const { clock, sharedStore, store, mintNow, keysOf } = await setUpSubscribed()
    await (await sharedStore.lease(request))?.take()
    void sharedStore.write(request, mintNow(), false)
    await sharedStore.close()
    await clock.advance(0)
    expect([keysOf('set').length, store.leases, store.subscriptions]).toEqual([1, [], 0])
  })

  it('tells the cache which tokens and which mints in flight an invalidation concerns', async () => {
    const one = await setUpSubscribed()
    const other = await setUpSubscribed(one.clock, one.store)
    other.listen()
    const { clock, store } = one
    await one.sharedStore.invalidate(request)
    await untilTrue(() => other.heard.length === 1)
    await clock.advance(10_000)
    // From now on, it knows the time of the gateway.
    await other.sharedStore.write(request, other.mintNow(), false)
    const release = store.hold('publish')
    const late = one.sharedStore.invalidate(request)
    await untilTrue(() => one.keysOf('publish').length === 2)
    await clock.advance(3_000)
    release()
    await late
    await one.sharedStore.invalidate(request, 'token')
    await untilTrue(() => other.heard.length >= 3)
    const ages = other.heard.slice(0, 3).map(({ request: concerned, ageMs }) => [concerned, ageMs])
    // The clocks of processes may differ by 2 s.
    expect(ages).toEqual([-Infinity, 1_000, Infinity].map(ageMs => [request, ageMs]))
    const [all, , named] = other.heard
    const startedAt = clock.now() - 13_000
    const covered = [startedAt, startedAt + 2_000, startedAt + 2_001].map(ms =>
      all?.covers({ sessionToken: 'token', expiresAt: new Date(ms + HOUR).toISOString(), ...request }, HOUR),
    )
    expect(covered).toEqual([true, true, false])
    const { token } = other.mintNow()
    expect([token, { ...token, sessionToken: 'another' }].map(each => named?.covers(each, HOUR))).toEqual([true, false])
    expect(other.emitted).toContainEqual({ type: 'invalidation-received', evicted: true })
  })

  it('hears invalidations without a cache that listens, and does not ask the store', async () => {
    const one = await setUpSubscribed()
    const other = await setUpSubscribed(one.clock, one.store)
    await one.sharedStore.invalidate(request)
    await untilTrue(() => other.types().includes('invalidation-received'))
    expect(other.emitted).toEqual([{ type: 'invalidation-received', evicted: false }])
    const asked = one.store.operations.length
    await turnOfThreads()
    await turn()
    expect(one.store.operations).toHaveLength(asked)
  })

  it('removes an invalidated token that it has stored before it heard of the invalidation', async () => {
    const one = await setUpSubscribed()
    const other = await setUpSubscribed(one.clock, one.store)
    other.listen()
    const release = one.store.hold('publish')
    const invalidated = one.sharedStore.invalidate(request)
    await untilTrue(() => one.keysOf('publish').length === 1 && one.keysOf('delete').length === 1)
    await other.sharedStore.write(request, other.mintNow(), false)
    const [key = ''] = one.keysOf('set')
    expect(await one.store.get(key)).toBeDefined()
    release()
    await invalidated
    await untilTrue(async () => (await one.store.get(key)) === undefined)
  })

  it('sends again the last 1,000 of the invalidations that the store did not accept', async () => {
    const { sharedStore, store, clock, types } = await setUpSubscribed()
    store.failing.add('publish')
    for (let user = 0; user < 1_001; user++) await sharedStore.invalidate({ identity: `user-${user}`, scopes: [] })
    store.failing.clear()
    store.loseSubscriptions()
    await clock.advance(500)
    await untilTrue(() => types().filter(type => type === 'invalidation-sent').length === 1_000)
    await clock.advance(60_000)
    expect(store.messages).toHaveLength(1_000)
  }, 60_000)
})

describe('secret providers', () => {
  it('that fail cause the mint to fail, and no store operation', async () => {
    const store = new RecordingStore(new Map())
    const process = setUp(store, { secret: () => Promise.reject(new Error('no secret')) })
    await expect(process.cache.get(request, call)).rejects.toThrow('no secret')
    await process.cache.invalidate(request)
    expect(store.keys).toEqual([])
    expect(process.types()).not.toContain('store-failure')
  })

  it('that hang delay a call no longer than its deadline', async () => {
    const process = setUp(new RecordingStore(new Map()), { secret: never })
    const outcome = process.cache.get(request, call).catch((error: unknown) => error)
    expect(await costOf(process.clock, outcome, 1_000)).toBe(15_000)
    expect(await outcome).toMatchObject({ code: 'VKIT_TIMEOUT' })
  })
})

describe('several processes', () => {
  it('take the newer token of another process when theirs is stale, and mint if there is none', async () => {
    const store = new RecordingStore(new Map())
    const clock = new FakeClock()
    const [one, two] = [setUp(store, { clock }), setUp(store, { clock })]
    const first = await one.cache.get(request, call)
    await untilWritten(one)
    expect(await two.cache.get(request, call)).toEqual(first)

    await clock.advance(HOUR * 0.6)
    await one.cache.get(request, call)
    while (one.mints < 2) await turn()
    await turn()
    await untilWritten(one)
    await store.idle()
    const second = await one.cache.get(request, call)
    expect(second).not.toEqual(first)

    await two.cache.get(request, call)
    while (!two.types().filter(type => type === 'store-hit')[1]) await turn()
    await turn()
    expect(await two.cache.get(request, call)).toEqual(second)
    expect([one.mints, two.mints]).toEqual([2, 0])
  })

  it('do not treat their own old token as a new one', async () => {
    const store = new RecordingStore(new Map())
    const process = setUp(store)
    await process.cache.get(request, call)
    await untilWritten(process)
    await process.clock.advance(HOUR * 0.6)
    // The clock of a reader may differ slightly.
    process.clock.setWall(process.clock.now() - 5)
    await process.cache.get(request, call)
    while (process.mints < 2) await turn()
    expect(process.types()).not.toContain('store-hit')
  })

  it('mint if minValidityMs is longer than the validity of the stored token', async () => {
    const store = new RecordingStore(new Map())
    const clock = new FakeClock()
    const one = setUp(store, { clock })
    await one.cache.get(request, call)
    await untilWritten(one)
    await clock.advance(HOUR / 2)
    const two = setUp(store, { clock })
    await two.cache.get(request, { ...call, minValidityMs: HOUR * 0.9 })
    expect(two.mints).toBe(1)
  })
})

function boom(): never {
  throw new Error('boom')
}
