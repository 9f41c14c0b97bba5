import { describe, expect, it } from '@jest/globals'
import { setImmediate as turn } from 'node:timers/promises'
import { TokenCache } from '../../../lib/cache/token-cache.js'
import { Deadline } from '../../../lib/core/deadline.js'
import { Events } from '../../../lib/core/events.js'
import type { MintOptions } from '../../../lib/gateway/token-minter.js'
import { SecretSource } from '../../../lib/secret/secret-source.js'
import { EncryptedStore } from '../../../lib/store/encrypted-store.js'
import type { TokenStore } from '../../../lib/store/token-store.js'
import { FakeClock } from '../../../lib/testing/index.js'
import type { MintedToken } from '../../../lib/token/session-token.js'
import type { TokenCall, TokenRequest } from '../../../lib/token/token-request.js'
import { failureOf } from '../../support/failure.js'
import { recordEvents } from '../../support/gateway.js'
import { seededRandom } from '../../support/random.js'
import { RecordingStore } from '../../support/recording-store.js'
import { turnOfThreads } from '../../support/threads.js'

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

  it('does not block a new token that is minted in the same millisecond', async () => {
    const store = new RecordingStore(new Map())
    const process = setUp(store)
    await process.cache.get(request, call)
    await process.cache.invalidate(request)
    const second = await process.cache.get(request, call)
    await untilWritten(process)
    await store.idle()
    expect(await setUp(store).cache.get(request, call)).toEqual(second)
  })
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
