import { describe, expect, it } from '@jest/globals'
import { setImmediate as turn } from 'node:timers/promises'
import { TokenCache } from '../../../lib/cache/token-cache.js'
import { Deadline } from '../../../lib/core/deadline.js'
import { Events } from '../../../lib/core/events.js'
import type { MintOptions } from '../../../lib/gateway/token-minter.js'
import { SecretSource } from '../../../lib/secret/secret-source.js'
import { EncryptedStore } from '../../../lib/store/encrypted-store.js'
import type { TokenStore } from '../../../lib/store/shared-store.js'
import { FakeClock } from '../../../lib/testing/index.js'
import type { MintedToken } from '../../../lib/token/session-token.js'
import type { TokenCall, TokenRequest } from '../../../lib/token/token-request.js'
import { failureOf } from '../../support/failure.js'
import { recordEvents } from '../../support/gateway.js'
import { seededRandom } from '../../support/random.js'
import { RecordingStore } from '../../support/recording-store.js'

const HOUR = 3_600_000
const random = seededRandom()
const request: TokenRequest = { identity: 'user', scopes: [] }
const call: TokenCall = { mode: 'default', deadlineMs: 15_000 }
const ENDPOINT = new URL('https://gateway.video.io/v1/sessions')

/** Of all processes together: no two tokens are the same. */
let minted = 0

/** One process: a cache with a shared store, and a mint that answers at once. */
function setUp(store: TokenStore, { clock = new FakeClock(), secret = (): string | Promise<string> => 'secret' } = {}) {
  const { events: told, types, onEvent } = recordEvents()
  const events = new Events(onEvent)
  let mints = 0
  const process = {
    clock,
    told,
    types,
    lifetimeMs: HOUR,
    get mints() {
      return mints
    },
    source: new SecretSource({ rotates: true, read: async () => secret() }),
  }
  const mint = async (asked: TokenRequest, { deadline }: MintOptions): Promise<MintedToken> => {
    await process.source.read(deadline)
    const start = { wall: clock.now(), monotonic: clock.monotonic() }
    const expiresAt = new Date(clock.now() + process.lifetimeMs).toISOString()
    mints++
    const token = Object.freeze({ sessionToken: `token-${++minted}`, expiresAt, ...asked })
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
    sharedStore,
    clock,
    events,
    random,
  })
  return Object.assign(process, { cache, sharedStore })
}

/** Lets the clock go until `promise` settles; the milliseconds that it took. */
async function costOf(clock: FakeClock, promise: Promise<unknown>): Promise<number> {
  const start = clock.monotonic()
  let end: number | undefined
  void promise.finally(() => (end = clock.monotonic()))
  for (;;) {
    // Encryption is done by threads: it takes turns of the event loop, and no time of this clock.
    for (let i = 0; i < 50 && end === undefined; i++) await turn()
    if (end !== undefined) return end - start
    await clock.advance(10)
  }
}

async function untilWritten(process: { sharedStore: EncryptedStore }): Promise<void> {
  await process.sharedStore.flush()
}

const never = (): Promise<never> => new Promise(() => undefined)

describe('a store in trouble', () => {
  const troubles: [string, TokenStore][] = [
    ['hangs', { get: never, set: never, delete: never }],
    ['throws', { get: () => boom(), set: () => boom(), delete: () => boom() }],
    ['rejects', { get: async () => boom(), set: async () => boom(), delete: async () => boom() }],
    ['answers garbage', { get: () => ({ not: 'ours' }), set: () => Symbol('?'), delete: () => null }],
    ['loses what is written', { get: () => undefined, set: () => true, delete: () => true }],
  ]

  it.each(troubles)('that %s costs 50 calls no more than 250 ms in all, and fails none', async (_, store) => {
    const process = setUp(store)
    let cost = 0
    for (let i = 0; i < 50; i++) {
      const identity = `user-${i}`
      cost += await costOf(process.clock, process.cache.get({ identity, scopes: [] }, call))
    }
    expect(cost).toBeLessThanOrEqual(250)
    expect(process.mints).toBe(50)
  })

  it('that hangs does not delay a caller by its writes', async () => {
    const process = setUp({ get: () => undefined, set: never, delete: never })
    expect(await costOf(process.clock, process.cache.get(request, call))).toBe(0)
  })

  it('that hangs delays invalidate by no more than 200 ms', async () => {
    const process = setUp({ get: never, set: never, delete: never })
    expect(await costOf(process.clock, process.cache.invalidate(request))).toBeLessThanOrEqual(100)
    const other = setUp({ get: never, set: never, delete: never })
    expect(await costOf(other.clock, other.cache.invalidate(request, 'token'))).toBeLessThanOrEqual(200)
  })

  it('does not hide that it was the secret provider that did not answer', async () => {
    let asked = 0
    const process = setUp(new Map<string, string>(), { secret: () => (asked++, never()) })
    const outcome = failureOf(process.cache.get(request, call))
    await process.clock.advance(call.deadlineMs)
    const error = await outcome
    expect(error).toMatchObject({ code: 'VKIT_TIMEOUT', retryable: false })
    expect(error.message).toContain('The app secret provider did not answer')
    expect([asked, process.mints]).toEqual([1, 0])
    expect(process.told).toContainEqual(
      expect.objectContaining({ type: 'failure', code: 'VKIT_TIMEOUT', retryable: false }),
    )
  })

  it('that hangs is left at the deadline of the call', async () => {
    const process = setUp({ get: never, set: never, delete: never })
    const deadline = new Deadline(process.clock, 30, () => new Error('deadline'))
    expect(await costOf(process.clock, process.sharedStore.read(request, deadline))).toBe(30)
    expect(process.types()).toEqual([])
  })
})

describe('callers who wish for different validities', () => {
  const eager = { ...call, minValidityMs: 0.75 * HOUR }

  /** The store holds a token with half an hour left. */
  async function setUpHalfSpent() {
    const store = new RecordingStore(new Map())
    const first = setUp(store)
    await first.cache.get(request, call)
    await untilWritten(first)
    await first.clock.advance(HOUR / 2)
    return { first, second: setUp(store, { clock: first.clock }) }
  }

  it('share the store and, where its token is not enough for some, one mint', async () => {
    const { second } = await setUpHalfSpent()
    const calls = [call, eager, eager, call, eager].map(each => second.cache.get(request, each))
    const tokens = (await Promise.all(calls)).map(token => token.sessionToken)
    expect(second.mints).toBe(1)
    expect(tokens[0]).toBe(tokens[3])
    expect(tokens[1]).not.toBe(tokens[0])
    expect(new Set(tokens).size).toBe(2)
  })

  it('mint nothing for a wish that no token of this lifetime could fulfil', async () => {
    const { second } = await setUpHalfSpent()
    const wishes = [call, { ...call, minValidityMs: 2 * HOUR }]
    await Promise.all(wishes.map(each => second.cache.get(request, each)))
    expect(second.mints).toBe(0)
  })

  it('get no more than one mint where new tokens are short-lived', async () => {
    const { second } = await setUpHalfSpent()
    second.lifetimeMs = 1_000
    await Promise.all([call, eager, eager].map(each => second.cache.get(request, each)))
    expect(second.mints).toBe(1)
  })
})

describe('what is written', () => {
  it.each([0, -1, NaN, Infinity, 0.4, 1e300])('is nothing for a lifetime of %d ms', async ms => {
    const store = new RecordingStore(new Map())
    const { clock, sharedStore, source } = setUp(store)
    await source.read(new Deadline(clock, 1, () => new Error()))
    const start = { wall: clock.now(), monotonic: clock.monotonic() }
    const token = { sessionToken: 'token', expiresAt: '2031-01-01T00:00:00Z', ...request }
    sharedStore.write(request, { token, lifetime: { start, ms } })
    await sharedStore.flush()
    expect(store.writes).toEqual([])
  })

  it('is given what is left of its life, in whole milliseconds', async () => {
    const store = new RecordingStore(new Map())
    const process = setUp(store)
    process.lifetimeMs = 90_000.7
    await process.cache.get(request, call)
    await untilWritten(process)
    expect(store.writes.map(write => write.ttlMs)).toEqual([90_000])
  })

  it('is sealed with the secret that the token was minted with, which is not asked for once more', async () => {
    let asked = 0
    const process = setUp(new RecordingStore(new Map()), { secret: () => `secret-${++asked}` })
    await process.cache.get(request, call)
    await untilWritten(process)
    // Once to read, once to mint.
    expect(asked).toBe(2)
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

describe('a token that was invalidated', () => {
  it('does not come back by a write that the store is late with', async () => {
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

  it('does not come back by a write that was still being sealed', async () => {
    const store = new RecordingStore(new Map())
    const process = setUp(store)
    await process.cache.get(request, call)
    await process.cache.invalidate(request)
    await untilWritten(process)
    await store.idle()
    expect(store.inner.size).toBe(0)
  })

  it('by its own text does not come back by a late write, while its successor stays', async () => {
    const store = new RecordingStore(new Map())
    const process = setUp(store)
    const release = store.holdWrites()
    const first = await process.cache.get(request, call)
    await untilWritten(process)
    await process.cache.invalidate(request, first.sessionToken)
    await release()
    // The removal is repeated after the write, and reads the record in a thread, which takes as long as it takes.
    while (store.inner.size > 0) await new Promise(resolve => setImmediate(resolve))

    const second = await process.cache.get(request, call)
    await untilWritten(process)
    await process.cache.invalidate(request, first.sessionToken)
    await store.idle()
    expect(store.inner.size).toBe(1)
    expect(await setUp(store).cache.get(request, call)).toEqual(second)
  })

  it('is not taken back from a store that loses removals', async () => {
    const store = new RecordingStore(new Map())
    store.losesRemovals = true
    const process = setUp(store)
    const first = await process.cache.get(request, call)
    await untilWritten(process)
    await process.cache.invalidate(request)
    // Nothing of the new one is written either: what is stored is still the first.
    const release = store.holdWrites()
    expect(await process.cache.get(request, call)).not.toEqual(first)
    expect(process.told).toContainEqual({ type: 'store-failure', operation: 'get', reason: 'invalidated' })
    await release()
    expect(store.inner.size).toBe(1)
  })

  it('makes room for the next at the very same moment', async () => {
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
  it('that fail leave the store alone, and the mint says so', async () => {
    const store = new RecordingStore(new Map())
    const process = setUp(store, { secret: () => Promise.reject(new Error('no secret')) })
    await expect(process.cache.get(request, call)).rejects.toThrow('no secret')
    await process.cache.invalidate(request)
    expect(store.keys).toEqual([])
    expect(process.types()).not.toContain('store-failure')
  })

  it('that never answer delay nobody beyond the deadline', async () => {
    const process = setUp(new RecordingStore(new Map()), { secret: never })
    const outcome = process.cache.get(request, call).catch((error: unknown) => error)
    expect(await costOf(process.clock, outcome)).toBe(15_000)
    expect(await outcome).toMatchObject({ code: 'VKIT_TIMEOUT' })
  })
})

describe('several processes', () => {
  it('take the newer token of another when theirs is due, and mint when there is none', async () => {
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

  it('do not take their own old token for a new one', async () => {
    const store = new RecordingStore(new Map())
    const process = setUp(store)
    await process.cache.get(request, call)
    await untilWritten(process)
    await process.clock.advance(HOUR * 0.6)
    // The clock of a reader may differ by a hair.
    process.clock.setWall(process.clock.now() - 5)
    await process.cache.get(request, call)
    while (process.mints < 2) await turn()
    expect(process.types()).not.toContain('store-hit')
  })

  it('mint where a call wants the token valid for longer than the stored one is', async () => {
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
