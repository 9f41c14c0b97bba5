import { describe, expect, it } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import { VKitRequestError, VKitServerError, VKitTimeoutError } from '../../../lib/core/errors.js'
import { Events, type VKitEvent } from '../../../lib/core/events.js'
import { Admission } from '../../../lib/gateway/admission.js'
import type { AttemptOutcome } from '../../../lib/gateway/attempt-outcome.js'
import { MintPriority, type PriorityLevel } from '../../../lib/gateway/mint-priority.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { failureOf, reasonOf } from '../../support/failure.js'

const SUCCESS: AttemptOutcome = { kind: 'success' }
const FAILURE: AttemptOutcome = { kind: 'failure' }
/** Longer than the first wait for a probe. */
const ROUND_MS = 1_000

function setUp({ maxConnections = (): number => 400 } = {}) {
  const clock = new FakeClock()
  const events: VKitEvent[] = []
  const admission = new Admission({
    ...{ timeoutMs: 10_000, maxConnections, clock, random: () => 0.5 },
    events: new Events(event => void events.push(event)),
  })
  const makeDeadline = (ms = 60_000): Deadline => new Deadline(clock, ms, () => new VKitTimeoutError('late'))
  const admit = async (key: string, { ms = 60_000, level = 'call' }: { ms?: number; level?: PriorityLevel } = {}) =>
    admission.admit({ key, deadline: makeDeadline(ms), priority: new MintPriority(level), isReturning: false })
  /** Sends an attempt for each of `users` users, one after the other. Each ends with `outcome` after `ms`. */
  const run = async (users: number, outcome: AttemptOutcome, ms = 0): Promise<void> => {
    for (let user = 1; user <= users; user++) {
      const attempt = await admit(`user ${user}`)
      await clock.advance(ms)
      admission.end(attempt, outcome)
    }
  }
  const isRefused = (key: string): boolean => {
    try {
      admission.check(key)
      return false
    } catch {
      return true
    }
  }
  return { clock, events, admission, admit, makeDeadline, run, isRefused }
}

/** Allows one connection, which is in use, after a mint that took `medianMs`. */
async function setUpBusy({ medianMs = 0 } = {}) {
  const all = setUp({ maxConnections: () => 1 })
  await all.run(1, SUCCESS, medianMs)
  const inUse = await all.admit('in use')
  return { ...all, free: () => all.admission.end(inUse, { kind: 'refusal' }) }
}

describe('admission', () => {
  it('admits an attempt that need not wait without a promise', () => {
    const { admission, makeDeadline } = setUp()
    const request = { key: 'a', deadline: makeDeadline(), priority: new MintPriority('call'), isReturning: false }
    expect(admission.admit(request)).toMatchObject({ key: 'a', isProbe: false })
  })

  it('admits as many attempts as the limit, and the next one when one ends', async () => {
    const { admission, admit } = setUp()
    const first = await admit('first')
    for (let user = 2; user <= 50; user++) await admit(`user ${user}`)
    const waiting = admit('one more')
    expect(admission.stats).toMatchObject({ concurrencyLimit: 50, queued: 1 })
    expect(admission.concurrencyLimit).toBe(50)
    admission.end(first, SUCCESS)
    expect(await waiting).toMatchObject({ key: 'one more', isProbe: false })
    expect(admission.stats.queued).toBe(0)
  })

  it('never exceeds maxConnections', async () => {
    const { admission, admit } = setUp({ maxConnections: () => 2 })
    await Promise.all([admit('a'), admit('b')])
    void admit('c')
    expect(admission.stats).toMatchObject({ concurrencyLimit: 2, queued: 1 })
  })

  it('raises the limit while calls wait and throughput grows', async () => {
    const { clock, admission, admit } = setUp()
    const sent = await Promise.all(Array.from({ length: 50 }, () => admit('a')))
    for (let call = 1; call <= 60; call++) void admit('b')
    await clock.advance(50)
    for (const attempt of sent) admission.end(attempt, SUCCESS)
    expect(admission.stats).toMatchObject({ concurrencyLimit: 100, queued: 0 })
  })

  it.each<[AttemptOutcome, number]>([
    [{ kind: 'rate-limited' }, 33],
    [{ kind: 'timeout' }, 33],
    [FAILURE, 50],
    [{ kind: 'cut-off' }, 50],
  ])('lowers the limit only after 429 and timeouts: %j', async (outcome, limit) => {
    const { admission, run } = setUp()
    await run(10, outcome)
    expect(admission.stats.concurrencyLimit).toBe(limit)
  })

  it('lowers the limit if most attempts that were sent get a 429, however many were not sent', async () => {
    const { admission, run } = setUp()
    for (let round = 1; round <= 7; round++) {
      await run(1, { kind: 'rate-limited' })
      await run(10, { kind: 'not-sent' })
    }
    expect(admission.stats.concurrencyLimit).toBe(33)
  })

  it('serves the more urgent attempt first, and measures its time from when it is sent', async () => {
    const { clock, admit, free } = await setUpBusy()
    const refresh = admit('refresh', { level: 'refresh' })
    const call = admit('call')
    await clock.advance(300)
    free()
    const first = await Promise.race([refresh, call])
    expect(first).toMatchObject({ key: 'call', sentAt: 300 })
  })

  it('rejects with the reason of a deadline that passed before or in the queue', async () => {
    const { clock, admission, admit, makeDeadline, free } = await setUpBusy()
    const queued = reasonOf(admit('queued', { ms: 10 }))
    await clock.advance(10)
    expect(await queued).toMatchObject({ code: 'VKIT_TIMEOUT' })
    free()
    const deadline = makeDeadline()
    deadline.cancel('the caller left')
    const request = { key: 'a', deadline, priority: new MintPriority('call'), isReturning: false }
    expect(() => admission.admit(request)).toThrow('the caller left')
    expect(await admit('is admitted')).toMatchObject({ key: 'is admitted' })
  })

  it('admits the first one that waits, not the next call, when there is one more connection', async () => {
    let max = 60
    const { clock, admission, admit } = setUp({ maxConnections: () => max })
    for (let user = 1; user <= 50; user++) await admit(`user ${user}`, { level: 'bulk' })
    for (let user = 1; user <= 10; user++) await admit(`user ${user}`)
    const admitted: string[] = []
    const wait = (key: string): void => void admit(key).then(() => admitted.push(key))
    wait('first')
    wait('second')
    expect(admission.stats.queued).toBe(2)
    max = 61
    wait('third')
    await clock.advance(0)
    expect([admitted, admission.stats.queued]).toEqual([['first'], 2])
  })

  it('counts the time of an attempt from when it is restarted', async () => {
    const { clock, admission, admit } = setUp()
    const attempt = await admit('a')
    await clock.advance(300)
    const restarted = admission.restart(attempt)
    expect(restarted).toEqual({ key: 'a', isProbe: false, isBulk: false, sentAt: 300 })
    await clock.advance(50)
    admission.end(restarted, SUCCESS)
    expect(admission.medianMs).toBe(50)
  })

  it('counts tokens and refusals as responses of the gateway', async () => {
    const { admission, run } = setUp()
    for (const kind of ['success', 'refusal', 'rate-limited', 'unknown', 'not-sent', 'cut-off'] as const) {
      await run(2, { kind })
    }
    await run(2, FAILURE)
    expect(admission.responses).toBe(4)
  })

  it('reports the median duration of successful attempts only', async () => {
    const { admission, run } = setUp()
    await run(5, FAILURE, 10)
    expect(admission.medianMs).toBeUndefined()
    await run(1, SUCCESS, 70)
    expect(admission.medianMs).toBe(70)
  })
})

describe('the attempts of a batch', () => {
  it.each([
    { connections: 400, batch: 50, callers: 50 },
    { connections: 60, batch: 50, callers: 10 },
    { connections: 20, batch: 18, callers: 2 },
    { connections: 9, batch: 8, callers: 1 },
    { connections: 1, batch: 1, callers: 0 },
  ])('leave slots to callers: with $connections connections', async ({ connections, batch, callers }) => {
    const { admission, admit } = setUp({ maxConnections: () => connections })
    /** Returns how many of 100 attempts need not wait. */
    const countSent = async (level: PriorityLevel): Promise<number> => {
      const before = admission.stats.queued
      for (let user = 1; user <= 100; user++) void admit(`user ${user}`, { level })
      return 100 - (admission.stats.queued - before)
    }
    expect([await countSent('bulk'), await countSent('call')]).toEqual([batch, callers])
  })

  it('leave the slots of callers again when they end', async () => {
    const { admission, admit } = setUp({ maxConnections: () => 60 })
    for (let batch = 1; batch <= 2; batch++) {
      const sent = await Promise.all(Array.from({ length: 50 }, () => admit('a', { level: 'bulk' })))
      for (const attempt of sent) admission.end(attempt, SUCCESS)
    }
    for (let user = 1; user <= 50; user++) void admit(`user ${user}`)
    expect(admission.stats.queued).toBe(0)
    void admit('one more')
    expect(admission.stats.queued).toBe(1)
  })

  it('take a slot of callers as soon as one joins', async () => {
    const { admission, admit, makeDeadline } = setUp({ maxConnections: () => 10 })
    for (let user = 1; user <= 9; user++) await admit(`user ${user}`, { level: 'bulk' })
    const priority = new MintPriority('bulk')
    const joined = admission.admit({ key: 'joined', deadline: makeDeadline(), priority, isReturning: false })
    expect(admission.stats.queued).toBe(1)
    priority.raise('call')
    expect(await joined).toMatchObject({ key: 'joined', isBulk: false })
    expect(admission.stats.queued).toBe(0)
  })

  it('need not leave time to callers until one calls, and from 10 s after the last one', async () => {
    const { clock, admission, admit } = setUp()
    await admit('a', { level: 'bulk' })
    expect(admission.hasCallers).toBe(false)
    await admit('b')
    await clock.advance(9_999)
    expect(admission.hasCallers).toBe(true)
    await clock.advance(1)
    expect(admission.hasCallers).toBe(false)
  })
})

describe('a mint in the queue that cannot finish before its deadline', () => {
  it('is refused when its turn comes, based on recent latency', async () => {
    const { clock, events, admission, admit, run } = setUp({ maxConnections: () => 2 })
    await run(1, SUCCESS, 1_000)
    const inUse = await admit('in use')
    await admit('in use too')
    const late = failureOf(admit('late', { ms: 1_499 }))
    const inTime = admit('in time', { ms: 1_500 })
    void admit('last')
    await clock.advance(500)
    admission.end(inUse, FAILURE)
    expect(await late).toMatchObject({
      ...{ code: 'VKIT_UNAVAILABLE', attempts: 0, retryable: true, retryAfterMs: 2_000, refusedBy: 'overload' },
      message: 'Too many mints were waiting for the gateway. Try again after retryAfterMs.',
    })
    expect(await inTime).toMatchObject({ key: 'in time' })
    expect(events).toEqual([{ type: 'overload', retryAfterMs: 2_000, queued: 3, concurrencyLimit: 2 }])
  })

  it('is sent if the latency is unknown', async () => {
    const { admission, admit } = setUp({ maxConnections: () => 1 })
    const first = await admit('first')
    const waiting = admit('short', { ms: 1 })
    admission.end(first, FAILURE)
    expect(await waiting).toMatchObject({ key: 'short' })
  })
})

describe('the circuit of admission', () => {
  it.each(['failure', 'timeout'] as const)('refuses every user and every retry when a %s opens it', async kind => {
    const { admission, admit, run } = setUp({ maxConnections: () => 1 })
    await run(39, { kind })
    expect(admission.mayRetry).toBe(true)
    admission.end(await admit('last'), { kind })
    expect(await failureOf(run(1, SUCCESS))).toMatchObject({ code: 'VKIT_UNAVAILABLE', refusedBy: 'circuit' })
    expect(() => admission.check('b')).toThrow(VKitServerError)
    expect(admission).toMatchObject({ mayRetry: false, stats: { circuit: 'open' } })
  })

  it('rejects every queued call when it opens, even if no slot is free', async () => {
    let max = 50
    const { admission, admit } = setUp({ maxConnections: () => max })
    const sent = await Promise.all(Array.from({ length: 50 }, (_, user) => admit(`user ${user}`)))
    max = 5
    const waiting = ['a', 'b', 'c'].map(key => failureOf(admit(key)))
    for (const attempt of sent.slice(0, 40)) admission.end(attempt, FAILURE)
    expect(admission.stats).toMatchObject({ concurrencyLimit: 5, queued: 0 })
    const expected = { code: 'VKIT_UNAVAILABLE', refusedBy: 'circuit', attempts: 0 }
    for (const error of await Promise.all(waiting)) expect(error).toMatchObject(expected)
  })

  it.each(['success', 'refusal'] as const)('ends a streak of failures after a %s', async kind => {
    const { admission, run } = setUp()
    await run(39, FAILURE)
    await run(1, { kind })
    await run(39, FAILURE)
    expect(admission.stats.circuit).toBe('closed')
  })

  it.each(['rate-limited', 'unknown', 'not-sent'] as const)(
    'counts %s neither as a success nor as a failure',
    async kind => {
      const { admission, admit, run } = setUp()
      await run(50, { kind })
      expect(admission.stats.circuit).toBe('closed')
      await run(39, FAILURE)
      await run(50, { kind })
      admission.end(await admit('one more'), FAILURE)
      expect(admission.stats.circuit).toBe('open')
    },
  )

  it.each([
    { median: 100, ms: 999, state: 'closed' },
    { median: 100, ms: 1_000, state: 'open' },
    { median: 500, ms: 1_999, state: 'closed' },
    { median: 500, ms: 2_000, state: 'open' },
    // This process was busy, so the timeout fired late.
    { median: 100, ms: 3_000, timeoutMs: 999, state: 'closed' },
    { median: 100, ms: 3_000, timeoutMs: 1_000, state: 'open' },
    { median: 100, ms: 999, timeoutMs: 5_000, state: 'closed' },
  ])(
    'counts an attempt that its caller ends only after 1 s and four medians: %j',
    async ({ median, ms, timeoutMs, state }) => {
      const { clock, admission, admit, run } = setUp()
      await run(1, SUCCESS, median)
      const sent = await Promise.all(Array.from({ length: 40 }, (_, user) => admit(`user ${user}`)))
      await clock.advance(ms)
      for (const attempt of sent) admission.end(attempt, { kind: 'cut-off', ...(timeoutMs && { timeoutMs }) })
      expect(admission.stats.circuit).toBe(state)
    },
  )

  it('sends a probe at once, although no slot is free', async () => {
    let max = 2
    const { clock, admission, admit, run } = setUp({ maxConnections: () => max })
    await admit('hangs')
    await run(40, FAILURE)
    max = 1
    await clock.advance(ROUND_MS)
    expect(await admit('a')).toMatchObject({ isProbe: true })
    expect(admission.stats.queued).toBe(0)
  })

  it('calls back once when it opens, except what was unsubscribed', async () => {
    const { admission, run } = setUp()
    const calls: string[] = []
    admission.onCircuitOpen(() => calls.push('a'))
    admission.onCircuitOpen(() => calls.push('b'))()
    await run(39, FAILURE)
    expect(calls).toEqual([])
    await run(40, FAILURE).catch(() => undefined)
    expect(calls).toEqual(['a'])
  })

  it.each(['not-sent', 'cut-off'] as const)('lets another user probe after a probe that was %s', async kind => {
    const { clock, admission, admit, run } = setUp()
    await run(40, FAILURE)
    await clock.advance(ROUND_MS)
    const probe = await admit('a')
    expect(probe.isProbe).toBe(true)
    expect(await failureOf(admit('b'))).toMatchObject({ refusedBy: 'circuit' })
    admission.end(probe, { kind })
    expect(await admit('b')).toMatchObject({ isProbe: true })
  })

  it.each(['not-sent', 'cut-off'] as const)(
    'does not let another user probe after an attempt of before the outage was %s',
    async kind => {
      const { clock, admission, admit, run } = setUp()
      await run(1, SUCCESS, 5_000)
      const before = await admit('a')
      await run(40, FAILURE)
      await clock.advance(ROUND_MS)
      expect(await admit('a')).toMatchObject({ isProbe: true })
      admission.end(before, { kind })
      expect(await failureOf(admit('b'))).toMatchObject({ refusedBy: 'circuit' })
    },
  )

  it('does not let another user probe after a failed probe', async () => {
    const { clock, admission, admit, run } = setUp()
    await run(40, FAILURE)
    await clock.advance(ROUND_MS)
    admission.end(await admit('a'), FAILURE)
    expect(await failureOf(admit('b'))).toMatchObject({ refusedBy: 'circuit' })
  })
})

describe('the failure memory of admission', () => {
  const wrong = new VKitRequestError('wrong', { status: 422 })
  const later = new VKitServerError('later', { retryAfterMs: 60_000 })

  it('refuses only the user whose mint failed, until the backoff ends', async () => {
    const { clock, events, admission, isRefused } = setUp()
    admission.recordFailedMint('a', wrong)
    expect(() => admission.check('a')).toThrow(VKitRequestError)
    expect(isRefused('b')).toBe(false)
    expect(admission.stats.failingKeys).toBe(1)
    expect(events).toEqual([{ type: 'key-backoff', code: 'VKIT_INVALID_REQUEST', retryAfterMs: 150 }])
    await clock.advance(150)
    expect(isRefused('a')).toBe(false)
  })

  it.each([
    { run: 1, longestMs: 22_500, others: 'get responses' },
    { run: 0, longestMs: 3_750, others: 'get none' },
  ])(
    'refuses a user whose mints fail again and again for at most $longestMs ms if others $others',
    async ({ run: users, longestMs }) => {
      const { clock, events, admission, run } = setUp()
      for (let failure = 1; failure <= 10; failure++) {
        admission.recordFailedMint('a', wrong)
        await run(users, { kind: 'refusal' })
        await clock.advance(longestMs)
      }
      expect(events.at(-1)).toEqual({ type: 'key-backoff', code: 'VKIT_INVALID_REQUEST', retryAfterMs: longestMs })
    },
  )

  it('forgets a failure when a mint of the same user succeeds', async () => {
    const { admission, run, isRefused } = setUp()
    admission.recordFailedMint('user 1', later)
    admission.recordFailedMint('user 2', later)
    await run(1, SUCCESS)
    expect([isRefused('user 1'), isRefused('user 2')]).toEqual([false, true])
  })

  it('remembers failed mints, but not failed attempts', async () => {
    const { run, isRefused } = setUp()
    await run(1, FAILURE)
    expect(isRefused('user 1')).toBe(false)
  })

  it('remembers at most 1,000 users', () => {
    const { admission } = setUp()
    for (let user = 1; user <= 1_100; user++) admission.recordFailedMint(`user ${user}`, later)
    expect(admission.stats.failingKeys).toBe(1_000)
  })

  it('probes with a user in backoff, but not with one that has a Retry-After', async () => {
    const { clock, admission, run, isRefused } = setUp()
    await run(40, FAILURE)
    await clock.advance(ROUND_MS)
    admission.recordFailedMint('backoff', wrong)
    admission.recordFailedMint('retry-after', later)
    expect([isRefused('backoff'), isRefused('retry-after')]).toEqual([false, true])
  })

  it('forgets backoffs only when a success closes the circuit', async () => {
    const { clock, admission, run, isRefused } = setUp()
    admission.recordFailedMint('retry-after', later)
    await run(40, FAILURE)
    await clock.advance(ROUND_MS)
    admission.recordFailedMint('backoff', wrong)
    await run(1, { kind: 'refusal' })
    expect([isRefused('backoff'), isRefused('retry-after')]).toEqual([false, true])
    admission.recordFailedMint('backoff', wrong)
    await run(1, SUCCESS)
    expect(isRefused('backoff')).toBe(true)
  })

  it.each<AttemptOutcome>([{ kind: 'rate-limited' }, { kind: 'unknown' }])(
    'forgets backoffs with the first success after 40 users got no token, although the circuit is closed: %j',
    async outcome => {
      const { admission, run, isRefused } = setUp()
      admission.recordFailedMint('backoff', wrong)
      admission.recordFailedMint('retry-after', later)
      await run(39, outcome)
      await run(1, { kind: 'refusal' })
      expect(isRefused('backoff')).toBe(true)
      await run(40, outcome)
      expect([isRefused('backoff'), admission.stats.circuit]).toEqual([true, 'closed'])
      await run(1, { kind: 'refusal' })
      expect([isRefused('backoff'), isRefused('retry-after')]).toEqual([false, true])
    },
  )
})
