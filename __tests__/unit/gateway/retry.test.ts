import { describe, expect, it } from '@jest/globals'
import { callAfter } from '../../../lib/core/clock.js'
import { Deadline } from '../../../lib/core/deadline.js'
import { VKitRateLimitError, VKitRequestError, VKitServerError, VKitTimeoutError } from '../../../lib/core/errors.js'
import { Events } from '../../../lib/core/events.js'
import { retry, RetryBudget } from '../../../lib/gateway/retry.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { seededRandom } from '../../support/random.js'

interface Run {
  /** When the circuit opens. */
  readonly opensAtMs?: number
  /** Whether the circuit lets retries through. */
  readonly mayRetry?: boolean
  /** How the attempts end, in order. The last entry repeats. */
  readonly ends: readonly (Error | string)[]
  readonly maxRetries?: number
  readonly budget?: RetryBudget
  readonly deadlineMs?: number
}

async function run({
  ends,
  maxRetries = 2,
  budget = new RetryBudget(),
  deadlineMs = 15_000,
  mayRetry = true,
  opensAtMs,
}: Run) {
  const clock = new FakeClock()
  const attemptsAt: number[] = []
  const onCircuitOpen = (callback: () => void): (() => void) =>
    opensAtMs === undefined ? () => undefined : callAfter(clock, opensAtMs, callback)
  const deadline = new Deadline(clock, deadlineMs, () => new VKitTimeoutError('late'))
  const attempt = (): Promise<string> => {
    attemptsAt.push(clock.monotonic())
    const end = ends[Math.min(attemptsAt.length, ends.length) - 1] ?? ''
    return typeof end === 'string' ? Promise.resolve(end) : Promise.reject(end)
  }
  const outcome = retry(
    attempt,
    {
      budget,
      mayRetry: () => mayRetry,
      onCircuitOpen,
      clock,
      events: new Events(),
      random: seededRandom(),
    },
    { maxRetries: () => maxRetries, deadline },
  ).catch((error: unknown) => error)
  await clock.advance(deadlineMs)
  return { outcome: await outcome, attemptsAt }
}

function spent(): RetryBudget {
  const budget = new RetryBudget()
  while (budget.spend());
  return budget
}

const down = new VKitServerError('down')

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

  it('waits at least as long as Retry-After', async () => {
    const { attemptsAt } = await run({ ends: [new VKitRateLimitError('later', { retryAfterMs: 3_000 }), 'token'] })
    expect(attemptsAt[1]).toBeGreaterThanOrEqual(3_000)
    expect(attemptsAt[1]).toBeLessThanOrEqual(3_500)
  })

  it('stops waiting when the circuit opens', async () => {
    const busy = new VKitServerError('later', { retryAfterMs: 10_000 })
    expect((await run({ ends: [busy, 'token'], opensAtMs: 1_000 })).attemptsAt).toEqual([0, 1_000])
  })

  it('does not wait if the retry would come after the deadline', async () => {
    const { outcome, attemptsAt } = await run({ ends: [new VKitServerError('later', { retryAfterMs: 60_000 })] })
    expect(outcome).toMatchObject({ retryAfterMs: 60_000 })
    expect(attemptsAt).toHaveLength(1)
  })

  it('does not retry when the budget is spent', async () => {
    expect((await run({ ends: [down], budget: spent() })).attemptsAt).toHaveLength(1)
  })
})

describe('the retry budget', () => {
  const countLeft = (budget: RetryBudget): number => {
    let left = 0
    while (budget.spend()) left++
    return left
  }

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

  it('earns two retries when a retried mint succeeds', async () => {
    const budget = spent()
    budget.earn(false)
    await run({ ends: [down, 'token'], budget })
    expect(countLeft(budget)).toBe(2)
  })

  it('never exceeds 20 retries', () => {
    const budget = new RetryBudget()
    for (let success = 1; success <= 1_000; success++) budget.earn(true)
    expect(countLeft(budget)).toBe(20)
  })
})
