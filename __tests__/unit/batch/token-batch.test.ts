import { setImmediate as nextTick } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import type { SessionTokenResult } from '../../../lib/options/types.js'
import {
  VKitArgumentError,
  VKitClosedError,
  VKitConfigError,
  VKitRateLimitError,
  VKitRequestError,
  VKitResponseError,
  VKitServerError,
} from '../../../lib/core/errors.js'
import type { Clock } from '../../../lib/core/clock.js'
import { ProcessHold } from '../../../lib/core/process-hold.js'
import type { SessionToken } from '../../../lib/token/session-token.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { TokenBatch, type TokenBatchOptions } from '../../../lib/batch/token-batch.js'
import { SHAPES } from '../../faults/simulation/bulk.js'
import { reasonOf } from '../../support/failure.js'

const clock = new FakeClock()

function tokenFor(identity: string): SessionToken {
  return { sessionToken: `token of ${identity}`, expiresAt: '2030-01-01T01:00:00Z', identity, scopes: [] }
}

/** A batch of a client whose gateway is `getToken`. */
function makeBatch({
  getToken = async identity => tokenFor(identity),
  ...options
}: Partial<TokenBatchOptions>): TokenBatch {
  let responses = 0
  return new TokenBatch({
    concurrency: 4,
    concurrencyLimit: () => 1_000,
    responses: () => responses,
    hasCallers: () => false,
    findToken: () => undefined,
    onOutage: 'wait',
    maxOutageMs: 60_000,
    getToken: async (identity, call) => {
      try {
        const token = await getToken(identity, call)
        responses++
        return token
      } catch (error) {
        if (error instanceof VKitRequestError) responses++
        throw error
      }
    },
    signals: [],
    draining: new AbortController().signal,
    clock,
    hold: new ProcessHold(),
    ...options,
  })
}

function* count(seen: { pulled: number; returned?: boolean }, upTo = Infinity): Generator<string> {
  try {
    while (seen.pulled < upTo) yield `user-${seen.pulled++}`
  } finally {
    seen.returned = true
  }
}

async function collect(results: AsyncIterable<SessionTokenResult>): Promise<Map<string, string>> {
  const outcomes = new Map<string, string>()
  for await (const { identity, token, error } of results) outcomes.set(identity, token ? 'token' : error.code)
  return outcomes
}

/** Advances the clock until `promise` settles. */
async function whileTimePasses<T>(promise: Promise<T>, stepMs = 10): Promise<T> {
  const state = { isSettled: false }
  const settled = promise.finally(() => (state.isSettled = true))
  settled.catch(() => undefined)
  while (!state.isSettled) await clock.advance(stepMs)
  return settled
}

const refused = new VKitRequestError('no', { attempts: 1, status: 422 })
const foreignPage = new VKitResponseError('a page', { attempts: 1, status: 403, retryable: true })
const unavailable = (attempts: number, retryAfterMs?: number): VKitServerError =>
  new VKitServerError('down', { attempts, retryAfterMs, refusedBy: attempts === 0 ? 'circuit' : undefined })

describe('a batch', () => {
  it('has at max `concurrency` mints in flight', async () => {
    let [inFlight, max] = [0, 0]
    const getToken = async (identity: string): Promise<SessionToken> => {
      max = Math.max(max, ++inFlight)
      await Promise.resolve()
      inFlight--
      return tokenFor(identity)
    }
    expect((await whileTimePasses(collect(makeBatch({ getToken }).run(count({ pulled: 0 }, 100))))).size).toBe(100)
    expect(max).toBe(4)
  })

  it.each([
    ['a quarter more than the client has, so that it can find out whether more are possible', 8, 10],
    ['16 for a client without a limit, as at the edge', Infinity, 16],
  ])('has at max this many mints in flight: %s', async (_, limit, expected) => {
    let inFlight = 0
    const getToken = (): Promise<never> => {
      inFlight++
      return new Promise(() => undefined)
    }
    const abort = new AbortController()
    const options = { getToken, concurrency: 1_000, concurrencyLimit: () => limit, signals: [abort.signal] }
    const next = makeBatch(options)
      .run(count({ pulled: 0 }))
      .next()
    await clock.advance(1_000)
    expect(inFlight).toBe(expected)
    abort.abort('enough')
    expect(await reasonOf(next)).toBe('enough')
  })

  it('pulls an endless source no faster than it is consumed', async () => {
    const seen = { pulled: 0 }
    const results = makeBatch({}).run(count(seen))
    for (let consumed = 1; consumed <= 10; consumed++) {
      await whileTimePasses(results.next())
      expect(seen.pulled).toBeLessThanOrEqual(consumed + 4)
    }
    await results.return()
  })

  it.each([
    ['gets a new token if the first one waited', 101, ['anna', 'ben', 'ben']],
    ['keeps a token that waited only a moment', 100, ['anna', 'ben']],
  ])('%s for a slow consumer', async (_, waitMs, expected) => {
    const requested: string[] = []
    const getToken = async (identity: string): Promise<SessionToken> => {
      requested.push(identity)
      return tokenFor(identity)
    }
    const results = makeBatch({ getToken }).run(['anna', 'ben'])
    await results.next()
    await clock.advance(waitMs)
    expect((await results.next()).value).toMatchObject({ token: { identity: 'ben' } })
    expect(requested).toEqual(expected)
    expect((await results.next()).done).toBe(true)
  })

  it('keeps an error, however long it waited for a slow consumer', async () => {
    let requests = 0
    const getToken = async (): Promise<SessionToken> => {
      requests++
      throw refused
    }
    const results = makeBatch({ getToken }).run(['anna', 'ben'])
    await results.next()
    await clock.advance(60_000)
    expect((await results.next()).value).toEqual({ identity: 'ben', error: refused })
    expect(requests).toBe(2)
  })

  it('takes tokens that need no mint, as fast as it can', async () => {
    const getToken = (): Promise<never> => Promise.reject(refused)
    const outcomes = await collect(makeBatch({ findToken: tokenFor, getToken }).run(count({ pulled: 0 }, 1_000)))
    expect([...outcomes.values()].filter(outcome => outcome === 'token')).toHaveLength(1_000)
  })

  it('does not mint what other calls have minted while it waited for its turn', async () => {
    const requested: string[] = []
    const getToken = async (identity: string): Promise<SessionToken> => {
      requested.push(identity)
      return tokenFor(identity)
    }
    let areMinted = false
    const findToken = (identity: string): SessionToken | undefined => (areMinted ? tokenFor(identity) : undefined)
    const outcomes = collect(makeBatch({ findToken, getToken, concurrency: 50 }).run(count({ pulled: 0 }, 50)))
    await clock.advance(0)
    areMinted = true
    const { length } = requested
    expect((await whileTimePasses(outcomes)).size).toBe(50)
    expect(length).toBeLessThan(50)
    expect(requested).toHaveLength(length)
  })

  it.each([
    ['its mints', ['anna']],
    ['its source', { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }) }],
  ])('sets no timer while it waits only for %s', async (_, identities) => {
    const abort = new AbortController()
    const ownClock = new FakeClock()
    const getToken = (): Promise<never> => new Promise(() => undefined)
    const next = makeBatch({ getToken, signals: [abort.signal], clock: ownClock })
      .run(identities)
      .next()
    await ownClock.advance(0)
    expect(ownClock.sleepers).toBe(0)
    abort.abort('enough')
    expect(await reasonOf(next)).toBe('enough')
  })

  it('has the error of an invalid identity as its result', async () => {
    const invalid = new VKitArgumentError('identity must not be empty.')
    const findToken = (identity: string): undefined => {
      if (identity === '') throw invalid
    }
    const getToken = async (identity: string): Promise<SessionToken> => {
      if (identity === '') throw invalid
      return tokenFor(identity)
    }
    const outcomes = await whileTimePasses(collect(makeBatch({ findToken, getToken }).run(['', 'anna'])))
    expect(Object.fromEntries(outcomes)).toEqual({ '': 'VKIT_INVALID_ARGUMENT', anna: 'token' })
  })

  it('closes the source when the consumer breaks out of the loop', async () => {
    const seen = { pulled: 0, returned: false }
    for await (const result of makeBatch({}).run(count(seen))) if (result.identity === 'user-2') break
    expect(seen.returned).toBe(true)
  })

  it.each([
    ['the error of a source that cannot be closed', false, 'cannot close'],
    ['the reason of an abort, although the source cannot be closed', true, 'enough'],
  ])('rejects with %s', async (_, aborts, message) => {
    const next = (): IteratorResult<string> => ({ done: false, value: 'anna' })
    const source = {
      [Symbol.iterator]: () => ({
        next,
        return: () => {
          throw new Error('cannot close')
        },
      }),
    }
    const abort = new AbortController()
    const results = makeBatch({ signals: [abort.signal] }).run(source)
    await results.next()
    if (aborts) abort.abort(new Error('enough'))
    expect(await reasonOf(aborts ? results.next() : results.return())).toEqual(new Error(message))
  })

  it('does not wait for a hanging source when it is aborted', async () => {
    let returned = false
    const source: AsyncIterable<string> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<never>(() => undefined),
        return: () => {
          returned = true
          return new Promise<never>(() => undefined)
        },
      }),
    }
    const abort = new AbortController()
    const next = makeBatch({ signals: [abort.signal] })
      .run(source)
      .next()
    abort.abort(new Error('enough'))
    expect(await reasonOf(next)).toBe(abort.signal.reason)
    expect(returned).toBe(true)
  })

  it('rejects with the reason of an abort, and cancels mints in flight', async () => {
    const abort = new AbortController()
    const cancelled: AbortSignal[] = []
    const getToken: TokenBatchOptions['getToken'] = (identity, { signal }) => {
      cancelled.push(signal)
      return identity === 'user-0' ? Promise.resolve(tokenFor(identity)) : new Promise(() => undefined)
    }
    const seen = { pulled: 0, returned: false }
    const results = makeBatch({ getToken, signals: [abort.signal] }).run(count(seen))
    await results.next()
    const next = results.next()
    abort.abort('enough')
    expect(await reasonOf(next)).toBe('enough')
    expect(seen.returned).toBe(true)
    expect(cancelled.every(signal => signal.aborted)).toBe(true)
    expect(await results.next()).toEqual({ done: true, value: undefined })
  })

  it('pulls nothing if the signal is already aborted', async () => {
    const seen = { pulled: 0 }
    const results = makeBatch({ signals: [AbortSignal.abort('late')] }).run(count(seen))
    expect(await reasonOf(results.next())).toBe('late')
    expect(seen.pulled).toBe(0)
  })

  it('delivers pending results before it rejects with the error of the source', async () => {
    const broken = new Error('cursor lost')
    async function* source(): AsyncGenerator<string> {
      yield 'a'
      yield 'b'
      throw broken
    }
    const outcomes: string[] = []
    const run = async (): Promise<void> => {
      for await (const { identity } of makeBatch({}).run(source())) outcomes.push(identity)
    }
    expect(await reasonOf(run())).toBe(broken)
    expect(outcomes.sort()).toEqual(['a', 'b'])
  })

  it.each([
    ['a wrong configuration', new VKitConfigError('No app secret.')],
    ['a closed client', new VKitClosedError('The client is closed.')],
  ])('ends after a failure that affects every identity: %s', async (_, error) => {
    const seen = { pulled: 0, returned: false }
    const results = makeBatch({ getToken: () => Promise.reject(error) }).run(count(seen))
    expect(await reasonOf(results.next())).toBe(error)
    expect(seen.returned).toBe(true)
  })
})

describe('an identity with a Retry-After', () => {
  it('waits for it without delaying the others', async () => {
    const began = clock.monotonic()
    const startedAt = new Map<string, number[]>()
    const getToken = async (identity: string): Promise<SessionToken> => {
      const times = startedAt.get(identity) ?? []
      startedAt.set(identity, [...times, clock.monotonic() - began])
      if (identity === 'user-0' && times.length === 0) throw unavailable(1, 10_000)
      return tokenFor(identity)
    }
    const outcomes = await whileTimePasses(collect(makeBatch({ getToken }).run(count({ pulled: 0 }, 50))))
    expect([...outcomes.values()].filter(outcome => outcome === 'token')).toHaveLength(50)
    expect(startedAt.get('user-0')?.map(ms => Math.round(ms / 100))).toEqual([0, 100])
    const others = [...startedAt].filter(([identity]) => identity !== 'user-0')
    expect(Math.max(...others.map(([, [ms = 0]]) => ms))).toBeLessThan(1_000)
  })

  it('fails immediately if it would have to wait longer than maxOutageMs', async () => {
    const began = clock.monotonic()
    const getToken = (identity: string): Promise<SessionToken> =>
      identity === 'user-0' ? Promise.reject(unavailable(1, 86_400_000)) : Promise.resolve(tokenFor(identity))
    const outcomes = await whileTimePasses(collect(makeBatch({ getToken }).run(count({ pulled: 0 }, 40))))
    expect(outcomes.get('user-0')).toBe('VKIT_UNAVAILABLE')
    expect(outcomes.size).toBe(40)
    expect(clock.monotonic() - began).toBeLessThan(1_000)
  })

  it('gets its error after five tries if only it is told 429', async () => {
    let tries = 0
    const getToken = async (identity: string): Promise<SessionToken> => {
      if (identity !== 'user-0') return tokenFor(identity)
      tries++
      throw new VKitRateLimitError('later', { attempts: 1, retryAfterMs: 1_000 })
    }
    const outcomes = await whileTimePasses(collect(makeBatch({ getToken }).run(count({ pulled: 0 }, 50))))
    expect([outcomes.get('user-0'), tries]).toEqual(['VKIT_RATE_LIMITED', 5])
  })

  it('keeps an endless source waiting if every identity has one', async () => {
    const seen = { pulled: 0 }
    const results = makeBatch({ getToken: () => Promise.reject(unavailable(1, 30_000)) }).run(count(seen))
    const next = whileTimePasses(results.next())
    await next
    expect(seen.pulled).toBeLessThanOrEqual(1_100)
    await results.return()
  })
})

describe('identities that always fail', () => {
  it.each(SHAPES.flatMap(([shape, isBadAt]) => [3, 30, 100].map(bad => [shape, bad, isBadAt] as const)))(
    '%s in the list, %i of 300, have their error after five tries, and the others their token',
    async (_, bad, isBadAt) => {
      const triesOf = new Map<string, number>()
      const getToken = async (identity: string): Promise<SessionToken> => {
        if (!isBadAt(Number(identity.slice(5)), bad)) return tokenFor(identity)
        triesOf.set(identity, (triesOf.get(identity) ?? 0) + 1)
        throw unavailable(3)
      }
      const began = clock.monotonic()
      const batch = makeBatch({ getToken, concurrency: 1_000 })
      const outcomes = await whileTimePasses(collect(batch.run(count({ pulled: 0 }, 300))))
      expect([...outcomes.values()].filter(outcome => outcome === 'token')).toHaveLength(300 - bad)
      expect([...triesOf.values()].filter(tries => tries >= 5 && tries <= 7)).toHaveLength(bad)
      expect(clock.monotonic() - began).toBeLessThan(30_000)
    },
  )

  it('do not stop the run if their time comes while it looks for the next one', async () => {
    // Each look at this clock takes time, and its timers end a moment too early.
    let [time, sleeps] = [0, 0]
    const earlyClock: Clock = {
      now: () => time,
      monotonic: () => (time += 0.1),
      sleep: async ms => {
        await nextTick()
        time += Math.max(0, ms - (sleeps++ % 20) / 10)
      },
    }
    const getToken = async (identity: string): Promise<SessionToken> => {
      if (identity === 'user-9') throw unavailable(1, 5)
      return tokenFor(identity)
    }
    for (let run = 0; run < 100; run++) {
      const outcomes = await collect(makeBatch({ getToken, clock: earlyClock }).run(count({ pulled: 0 }, 10)))
      expect(outcomes.get('user-9')).toBe('VKIT_UNAVAILABLE')
    }
  })

  it('are told from an outage at the end of a list by an identity that has its token, minted again', async () => {
    const references: string[] = []
    const cached = new Map<string, SessionToken>()
    const getToken: TokenBatchOptions['getToken'] = async (identity, { isReference }) => {
      if (identity === 'user-9') throw unavailable(3)
      if (isReference) references.push(identity)
      cached.set(identity, tokenFor(identity))
      return tokenFor(identity)
    }
    const results: string[] = []
    const run = async (): Promise<void> => {
      const batch = makeBatch({ getToken, findToken: identity => cached.get(identity) })
      for await (const { identity } of batch.run(count({ pulled: 0 }, 10))) results.push(identity)
    }
    await whileTimePasses(run())
    expect(references.length).toBeGreaterThan(0)
    expect(results.sort()).toEqual(Array.from({ length: 10 }, (_, i) => `user-${i}`))
  })

  it('get their error although the identity that is minted again is refused by then, and it keeps its one result', async () => {
    let references = 0
    const getToken: TokenBatchOptions['getToken'] = async (identity, { isReference }) => {
      if (isReference) references++
      if (isReference) throw refused
      if (identity === 'user-9') throw unavailable(3, 5_000)
      return tokenFor(identity)
    }
    const results: string[] = []
    const run = async (): Promise<void> => {
      for await (const { identity } of makeBatch({ getToken }).run(count({ pulled: 0 }, 10))) results.push(identity)
    }
    await whileTimePasses(run())
    expect(references).toBeGreaterThan(0)
    expect(results.sort()).toEqual(Array.from({ length: 10 }, (_, i) => `user-${i}`))
  })
})

describe('the pace of a run', () => {
  /** Returns how long a run takes in which each identity at a multiple of `every` fails so many times in this way. */
  async function durationWith(error?: Error, { every = 5, times = 1 } = {}): Promise<number> {
    const failuresOf = new Map<string, number>()
    const getToken = async (identity: string): Promise<SessionToken> => {
      const failures = failuresOf.get(identity) ?? 0
      if (!error || Number(identity.slice(5)) % every > 0 || failures === times) return tokenFor(identity)
      failuresOf.set(identity, failures + 1)
      throw error
    }
    const began = clock.monotonic()
    await whileTimePasses(collect(makeBatch({ getToken, concurrency: 100 }).run(count({ pulled: 0 }, 500))))
    return clock.monotonic() - began
  }

  it.each([
    ['invalid requests', refused],
    ['errors of the gateway', unavailable(1)],
    [
      '429s that the client remembers, which were not sent',
      new VKitRateLimitError('later', { attempts: 0, refusedBy: 'key', retryAfterMs: 1 }),
    ],
  ])('stays the same after %s', async (_, error) => {
    expect(await durationWith(error)).toBeLessThan(2 * (await durationWith()))
  })

  const limited = new VKitRateLimitError('later', { attempts: 1, retryAfterMs: 1 })

  it('falls after 429s of the gateway', async () => {
    expect(await durationWith(limited)).toBeGreaterThan(2 * (await durationWith()))
  })

  it('does not fall again if a few identities always get a 429', async () => {
    const first = await durationWith(limited, { every: 50 })
    expect(await durationWith(limited, { every: 50, times: Infinity })).toBeLessThan(2 * first)
  })
})

describe('an outage', () => {
  function outageOf(ms: number): { getToken: TokenBatchOptions['getToken']; requests: () => number } {
    const endsAt = clock.monotonic() + ms
    let [requests, probeAt] = [0, 0]
    return {
      requests: () => requests,
      getToken: async identity => {
        const now = clock.monotonic()
        if (now >= endsAt) return tokenFor(identity)
        if (now < probeAt) throw unavailable(0, probeAt - now)
        requests++
        probeAt = now + 5_000
        throw unavailable(3)
      },
    }
  }

  it('makes the list wait, and fails no identity', async () => {
    const outage = outageOf(50_000)
    const outcomes = await whileTimePasses(collect(makeBatch(outage).run(count({ pulled: 0 }, 100))))
    expect(outcomes.size).toBe(100)
    expect([...outcomes.values()].every(outcome => outcome === 'token')).toBe(true)
    expect(outage.requests()).toBeLessThanOrEqual(10)
  })

  it('keeps the source waiting too', async () => {
    const seen = { pulled: 0 }
    const results = makeBatch(outageOf(50_000)).run(count(seen))
    await whileTimePasses(results.next())
    expect(seen.pulled).toBeLessThanOrEqual(1_100)
    await results.return()
  })

  it('fails the remaining identities after maxOutageMs, until one succeeds', async () => {
    const outage = outageOf(300_000)
    const began = clock.monotonic()
    const batch = makeBatch(outage)
    const outcomes = await whileTimePasses(collect(batch.run(count({ pulled: 0 }, 1000))))
    expect(outcomes.size).toBe(1000)
    expect([...outcomes.values()].every(outcome => outcome === 'VKIT_UNAVAILABLE')).toBe(true)
    expect(clock.monotonic() - began).toBeLessThan(70_000)
  })

  it("fails each identity immediately with onOutage: 'fail'", async () => {
    const began = clock.monotonic()
    const outcomes = await whileTimePasses(
      collect(makeBatch({ ...outageOf(50_000), onOutage: 'fail' }).run(count({ pulled: 0 }, 100))),
    )
    expect([...outcomes.values()].filter(outcome => outcome === 'VKIT_UNAVAILABLE')).toHaveLength(100)
    expect(clock.monotonic() - began).toBeLessThan(1_000)
  })

  it.each([1, 2, 16])('is not assumed if only one identity fails, with a concurrency of %i', async concurrency => {
    const attemptsOf = new Map<string, number>()
    const getToken = async (identity: string): Promise<SessionToken> => {
      attemptsOf.set(identity, (attemptsOf.get(identity) ?? 0) + 1)
      if (identity === 'user-3') throw unavailable(3)
      return tokenFor(identity)
    }
    const began = clock.monotonic()
    const outcomes = await whileTimePasses(collect(makeBatch({ getToken, concurrency }).run(count({ pulled: 0 }, 50))))
    expect(outcomes.get('user-3')).toBe('VKIT_UNAVAILABLE')
    expect([...outcomes.values()].filter(outcome => outcome === 'token')).toHaveLength(49)
    expect(attemptsOf.get('user-3')).toBe(5)
    expect(clock.monotonic() - began).toBeLessThan(1_000)
  })

  it.each([
    ['a refusal', refused, 'VKIT_INVALID_REQUEST'],
    ['the page of a firewall', foreignPage, 'VKIT_INVALID_RESPONSE'],
  ])('is not assumed after %s, and nothing is retried', async (_, error, code) => {
    const requested: string[] = []
    const getToken = async (identity: string): Promise<SessionToken> => {
      requested.push(identity)
      if (identity === 'user-1') throw error
      return tokenFor(identity)
    }
    const outcomes = await whileTimePasses(collect(makeBatch({ getToken }).run(count({ pulled: 0 }, 3))))
    expect(Object.fromEntries(outcomes)).toEqual({ 'user-0': 'token', 'user-1': code, 'user-2': 'token' })
    expect(requested).toHaveLength(3)
  })
})

describe('a duplicate whose first mint failed', () => {
  it('does not end the run before its end, although the cache has its token by then', async () => {
    const cached = new Map<string, SessionToken>()
    let failures = 3
    const getToken = async (identity: string): Promise<SessionToken> => {
      if (identity === 'bad' || (identity === 'twice' && failures-- > 0)) throw unavailable(3)
      cached.set(identity, tokenFor(identity))
      return tokenFor(identity)
    }
    const list = ['first', 'twice', 'twice', 'bad', ...Array.from({ length: 20 }, (_, i) => `user-${i}`)]
    const options = { getToken, concurrency: 2, findToken: (identity: string) => cached.get(identity) }
    const results: string[] = []
    const run = async (): Promise<void> => {
      for await (const { identity } of makeBatch(options).run(list)) results.push(identity)
    }
    await whileTimePasses(run())
    expect(results.sort()).toEqual(list.sort())
  })
})

describe('a batch that drains', () => {
  /** Starts a run whose mints the test settles by identity. */
  function setUp(identities: Iterable<string> | AsyncIterable<string>, concurrency: number) {
    const [draining, closing] = [new AbortController(), new AbortController()]
    const mints = new Map<string, () => void>()
    const getToken = (identity: string): Promise<SessionToken> =>
      new Promise(resolve => mints.set(identity, () => resolve(tokenFor(identity))))
    const hold = new ProcessHold()
    const batch = makeBatch({ concurrency, getToken, draining: draining.signal, signals: [closing.signal], hold })
    return {
      run: batch.run(identities),
      mints,
      hold,
      drain: () => draining.abort(new Error('draining')),
      close: () => closing.abort(new Error('closed')),
    }
  }

  async function* slowly(...identities: string[]): AsyncGenerator<string> {
    for (const identity of identities) yield await Promise.resolve(identity)
  }

  it('has one result for each identity, or rejects, at whatever moment', async () => {
    for (let afterMs = 0; afterMs < 600; afterMs += 7) {
      const draining = new AbortController()
      const getToken = async (identity: string, { isReference }: { isReference: boolean }): Promise<SessionToken> => {
        await clock.sleep(20)
        if (isReference || Number(identity.slice(5)) >= 25) throw unavailable(3)
        return tokenFor(identity)
      }
      const seen = { pulled: 0, isAtEnd: false }
      function* list(): Generator<string> {
        yield* count(seen, 30)
        seen.isAtEnd = true
      }
      const results: string[] = []
      const run = async (): Promise<void> => {
        const batch = makeBatch({ getToken, concurrency: 16, draining: draining.signal })
        for await (const { identity } of batch.run(list())) results.push(identity)
      }
      const ended = run().then(
        () => 'ended',
        () => 'rejected',
      )
      await clock.advance(afterMs)
      draining.abort(new Error('draining'))
      const isComplete = await whileTimePasses(ended).then(end => end === 'ended')
      expect(new Set(results).size).toBe(results.length)
      expect(isComplete).toBe(seen.isAtEnd && results.length === 30)
    }
  })

  it('drops an identity that it has read and not started, and rejects', async () => {
    const { run, mints, drain } = setUp(slowly('a', 'b'), 1)
    const first = run.next()
    await clock.advance(0)
    drain()
    mints.get('a')?.()
    expect((await first).value).toMatchObject({ identity: 'a' })
    expect(await reasonOf(run.next())).toEqual(new Error('draining'))
    expect([...mints.keys()]).toEqual(['a'])
  })

  it('ends well while an identity is minted again to tell an outage from one bad identity', async () => {
    const draining = new AbortController()
    let isMintedAgain = false
    const getToken: TokenBatchOptions['getToken'] = (identity, { signal, isReference }) => {
      if (!isReference) return identity === 'bad' ? Promise.reject(unavailable(3)) : Promise.resolve(tokenFor(identity))
      isMintedAgain = true
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    }
    const ended = collect(makeBatch({ getToken, draining: draining.signal }).run(['good', 'bad']))
    await clock.advance(1_000)
    expect(isMintedAgain).toBe(true)
    draining.abort(new Error('draining'))
    expect(Object.fromEntries(await whileTimePasses(ended))).toEqual({ good: 'token', bad: 'VKIT_UNAVAILABLE' })
  })

  it('does not wait for a source that does not return', async () => {
    const { run, drain, hold } = setUp(
      { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }) },
      1,
    )
    const first = reasonOf(run.next())
    await clock.advance(0)
    drain()
    expect(await first).toEqual(new Error('draining'))
    await hold.idle()
  })

  it('lets the drain wait until the consumer has its results, and ends well if the client is closed then', async () => {
    const { run, mints, hold, drain, close } = setUp(['a', 'b', 'c'], 4)
    const first = run.next()
    await clock.advance(0)
    mints.get('a')?.()
    await first
    drain()
    let isIdle = false
    void hold.idle().then(() => (isIdle = true))
    for (const identity of ['b', 'c']) {
      mints.get(identity)?.()
      await clock.advance(0)
      expect(isIdle).toBe(false)
    }
    for (const identity of ['b', 'c']) expect((await run.next()).value).toMatchObject({ identity })
    await clock.advance(0)
    expect(isIdle).toBe(true)
    close()
    expect(await run.next()).toEqual({ done: true, value: undefined })
  })

  it('rejects if it drops an identity whose token became stale', async () => {
    for (let length = 2; length < 16; length++) {
      const draining = new AbortController()
      const run = makeBatch({ concurrency: 32, draining: draining.signal }).run(count({ pulled: 0 }, length))
      await run.next()
      await clock.advance(1_000)
      const second = run.next()
      draining.abort(new Error('draining'))
      let results = 1
      const end = await (async () => {
        for (let next = await second; !next.done; next = await run.next()) results++
        return 'ended'
      })().catch(() => 'rejected')
      expect([length, end]).toEqual([length, results === length ? 'ended' : 'rejected'])
    }
  })

  it('gets a token again that became stale while the consumer was busy', async () => {
    const { run, mints, drain, hold } = setUp(['a', 'b'], 3)
    const first = run.next()
    await clock.advance(0)
    for (const settle of mints.values()) settle()
    await first
    mints.clear()
    drain()
    await clock.advance(1_000)
    const second = run.next()
    await clock.advance(0)
    expect([...mints.keys()]).toEqual(['b'])
    mints.get('b')?.()
    expect((await second).value).toMatchObject({ identity: 'b' })
    await hold.idle()
    expect(await run.next()).toMatchObject({ done: true })
  })
})
