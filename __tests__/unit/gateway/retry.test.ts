import { describe, expect, it } from '@jest/globals'
import type { Random } from '../../../lib/core/backoff.js'
import { callAfter } from '../../../lib/core/clock.js'
import { Deadline } from '../../../lib/core/deadline.js'
import { VKitRateLimitError, VKitRequestError, VKitServerError, VKitTimeoutError } from '../../../lib/core/errors.js'
import { Events, type VKitEvent } from '../../../lib/core/events.js'
import { retry, RetryBudget } from '../../../lib/gateway/retry.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { seededRandom } from '../../support/random.js'

interface Run {
  /** When the circuit opens. */
  readonly opensAtMs?: number
  /** When the caller leaves. */
  readonly leavesAtMs?: number
  /** Whether the circuit lets retries through. */
  readonly mayRetry?: boolean
  /** How the attempts end, in order. The last entry repeats. */
  readonly ends: readonly (Error | string)[]
  readonly maxRetries?: number
  readonly retriesRateLimited?: boolean
  readonly budget?: RetryBudget
  readonly deadlineMs?: number
  readonly random?: Random
  /** Called with each event, and a function with which the caller leaves. */
  readonly onEvent?: (event: VKitEvent, leave: () => void) => void
}

const left = new Error('the caller left')

async function run({
  ends,
  maxRetries = 2,
  retriesRateLimited = true,
  budget = new RetryBudget(),
  deadlineMs = 15_000,
  mayRetry = true,
  opensAtMs,
  leavesAtMs,
  random = seededRandom(),
  onEvent,
}: Run) {
  const clock = new FakeClock()
  const events: VKitEvent[] = []
  const attemptsAt: number[] = []
  const onCircuitOpen = (callback: () => void): (() => void) =>
    opensAtMs === undefined ? () => undefined : callAfter(clock, opensAtMs, callback)
  const deadline = new Deadline(clock, deadlineMs, () => new VKitTimeoutError('late'))
  const leave = (): void => deadline.cancel(left)
  if (leavesAtMs !== undefined) callAfter(clock, leavesAtMs, leave)
  const attempt = (): Promise<string> => {
    attemptsAt.push(clock.monotonic())
    const end = ends[Math.min(attemptsAt.length, ends.length) - 1] ?? ''
    return typeof end === 'string' ? Promise.resolve(end) : Promise.reject(end)
  }
  const listener = (event: VKitEvent): void => {
    events.push(event)
    onEvent?.(event, leave)
  }
  let endedAt: number | undefined
  const outcome = retry(
    attempt,
    { budget, mayRetry: () => mayRetry, onCircuitOpen, clock, events: new Events(listener), random },
    { maxRetries: () => maxRetries, retriesRateLimited: () => retriesRateLimited, deadline },
  )
    .catch((error: unknown) => error)
    .finally(() => (endedAt = clock.monotonic()))
  await clock.advance(deadlineMs)
  return { outcome: await outcome, endedAt, attemptsAt, events }
}

function spent(): RetryBudget {
  const budget = new RetryBudget()
  while (budget.spend());
  return budget
}

function countLeft(budget: RetryBudget): number {
  let count = 0
  while (budget.spend()) count++
  return count
}

const half: Random = () => 0.5
const down = new VKitServerError('down')
const rateLimited = new VKitRateLimitError('too many')
const later = (retryAfterMs: number): VKitRateLimitError => new VKitRateLimitError('later', { retryAfterMs })

describe('retry', () => {
  it('retries a failure that may be temporary', async () => {
    const { outcome, attemptsAt } = await run({ ends: [down, down, 'token'] })
    expect(outcome).toBe('token')
    expect(attemptsAt).toHaveLength(3)
  })

  it('makes maxRetries attempts after the first one, and rejects with the error of the last one', async () => {
    const { outcome, attemptsAt } = await run({ ends: [down] })
    expect(outcome).toBe(down)
    expect(attemptsAt).toHaveLength(3)
    expect((await run({ ends: [down], maxRetries: 0 })).attemptsAt).toHaveLength(1)
  })

  it.each([
    ['that no retry can fix', new VKitRequestError('bad')],
    ['of a call that the client refused', new VKitServerError('no', { refusedBy: 'overload' })],
  ])('does not retry a failure %s', async (_, error) => {
    expect((await run({ ends: [error] })).attemptsAt).toHaveLength(1)
  })

  it('does not retry while the circuit is open', async () => {
    expect((await run({ ends: [down], mayRetry: false })).attemptsAt).toHaveLength(1)
  })

  it('does not retry a 429 if its caller controls the rate, but retries other failures', async () => {
    const retriesRateLimited = false
    expect((await run({ ends: [rateLimited], retriesRateLimited })).attemptsAt).toHaveLength(1)
    expect((await run({ ends: [down], retriesRateLimited })).attemptsAt).toHaveLength(3)
  })

  it('does not retry a bug, and rejects with it', async () => {
    const bug = new TypeError('a bug')
    expect(await run({ ends: [bug] })).toMatchObject({ outcome: bug, attemptsAt: [0] })
  })

  it('does not retry when the budget is spent', async () => {
    expect((await run({ ends: [down], budget: spent() })).attemptsAt).toHaveLength(1)
  })

  it('reports each retry, with its wait and the response that failed', async () => {
    const failed = new VKitServerError('down', { status: 503, requestId: 'req-1' })
    const { events } = await run({ ends: [failed, rateLimited, 'token'], random: half })
    expect(events).toEqual([
      { type: 'retry', attempt: 1, delayMs: 50, code: 'VKIT_UNAVAILABLE', status: 503, requestId: 'req-1' },
      { type: 'retry', attempt: 2, delayMs: 500, code: 'VKIT_RATE_LIMITED' },
    ])
  })
})

describe('the wait before a retry', () => {
  it.each([
    { after: 'a failure', error: down, waits: [50, 100, 200, 400, 800, 1_600, 2_500, 2_500] },
    { after: 'a 429', error: rateLimited, waits: [250, 500, 1_000, 2_000, 2_500, 2_500] },
  ])('is random, below a ceiling that doubles up to 5 s: after $after', async ({ error, waits }) => {
    const most = { ends: [error], maxRetries: waits.length, deadlineMs: 60_000 }
    const { attemptsAt } = await run({ ...most, random: half })
    expect(attemptsAt.slice(1).map((at, index) => at - (attemptsAt[index] ?? 0))).toEqual(waits)
    expect((await run({ ...most, random: () => 0 })).endedAt).toBe(0)
  })

  it('begins after Retry-After', async () => {
    const { attemptsAt } = await run({ ends: [later(3_000), 'token'], random: half })
    expect(attemptsAt).toEqual([0, 3_250])
  })

  it.each([
    [14_999, [0, 14_999]],
    [15_000, [0]],
  ])('must end before the deadline, or the call fails at once: %d ms of 15 s', async (retryAfterMs, attemptsAt) => {
    const budget = new RetryBudget()
    const result = await run({ ends: [later(retryAfterMs)], maxRetries: 1, budget, random: () => 0 })
    expect(result).toMatchObject({ attemptsAt, endedAt: attemptsAt.at(-1), outcome: { retryAfterMs } })
    expect(countLeft(budget)).toBe(21 - attemptsAt.length)
  })

  it('ends when the circuit opens', async () => {
    expect((await run({ ends: [later(10_000), 'token'], opensAtMs: 1_000 })).attemptsAt).toEqual([0, 1_000])
  })

  it('ends when its caller leaves, without another attempt', async () => {
    const result = await run({ ends: [later(10_000)], leavesAtMs: 1_000 })
    expect(result).toMatchObject({ outcome: left, attemptsAt: [0], endedAt: 1_000 })
  })

  it('does not begin if an event listener makes the caller leave', async () => {
    const result = await run({ ends: [later(10_000)], onEvent: (_, leave) => leave() })
    expect(result).toMatchObject({ outcome: left, attemptsAt: [0], endedAt: 0 })
  })
})

describe('the retry budget', () => {
  it('starts with 20 retries', () => {
    expect(countLeft(new RetryBudget())).toBe(20)
  })

  it.each([
    { wasRetried: false, earned: 1 },
    { wasRetried: true, earned: 2 },
  ])('earns $earned after a success (retried: $wasRetried)', ({ wasRetried, earned }) => {
    const budget = spent()
    budget.earn(wasRetried)
    expect(countLeft(budget)).toBe(earned)
  })

  it.each([
    { ends: ['token'], earned: 1 },
    { ends: [down, 'token'], earned: 2 },
    { ends: [down], earned: 0 },
  ])('earns $earned from a mint whose attempts end like this: $ends', async ({ ends, earned }) => {
    const budget = spent()
    for (let retries = 1; retries < ends.length; retries++) budget.earn(false)
    await run({ ends, budget, maxRetries: 1 })
    expect(countLeft(budget)).toBe(earned)
  })

  it('never exceeds 20 retries', () => {
    const budget = new RetryBudget()
    for (let success = 1; success <= 1_000; success++) budget.earn(true)
    expect(countLeft(budget)).toBe(20)
  })
})
