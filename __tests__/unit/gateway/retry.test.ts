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
  /** What the attempts end with, one after the other; the last one stays. */
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
      maxRetries,
      budget,
      mayRetry: () => mayRetry,
      onCircuitOpen,
      clock,
      events: new Events(),
      random: seededRandom(),
    },
    deadline,
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
  it('tries again what may pass', async () => {
    const { outcome, attemptsAt } = await run({ ends: [down, down, 'token'] })
    expect(outcome).toBe('token')
    expect(attemptsAt).toHaveLength(3)
  })

  it('makes maxRetries attempts after the first, and fails as the last did', async () => {
    const { outcome, attemptsAt } = await run({ ends: [down] })
    expect(outcome).toBe(down)
    expect(attemptsAt).toHaveLength(3)
    expect((await run({ ends: [down], maxRetries: 0 })).attemptsAt).toHaveLength(1)
  })

  it.each([
    ['no retry can fix', new VKitRequestError('bad')],
    ['the client itself refused', new VKitServerError('no', { refusedBy: 'overload' })],
  ])('does not try again what %s', async (_, error) => {
    expect((await run({ ends: [error] })).attemptsAt).toHaveLength(1)
  })

  it('does not try again while the circuit is open', async () => {
    expect((await run({ ends: [down], mayRetry: false })).attemptsAt).toHaveLength(1)
  })

  it('waits at least as long as the gateway asked for', async () => {
    const { attemptsAt } = await run({ ends: [new VKitRateLimitError('later', { retryAfterMs: 3_000 }), 'token'] })
    expect(attemptsAt[1]).toBeGreaterThanOrEqual(3_000)
    expect(attemptsAt[1]).toBeLessThanOrEqual(3_500)
  })

  it('does not wait any longer when the circuit opens', async () => {
    const busy = new VKitServerError('later', { retryAfterMs: 10_000 })
    expect((await run({ ends: [busy, 'token'], opensAtMs: 1_000 })).attemptsAt).toEqual([0, 1_000])
  })

  it('does not wait for what the deadline leaves no time for', async () => {
    const { outcome, attemptsAt } = await run({ ends: [new VKitServerError('later', { retryAfterMs: 60_000 })] })
    expect(outcome).toMatchObject({ retryAfterMs: 60_000 })
    expect(attemptsAt).toHaveLength(1)
  })

  it('does not try again when the budget is spent', async () => {
    expect((await run({ ends: [down], budget: spent() })).attemptsAt).toHaveLength(1)
  })
})

describe('the retry budget', () => {
  const countLeft = (budget: RetryBudget): number => {
    let left = 0
    while (budget.spend()) left++
    return left
  }

  it('has 20 retries at first', () => {
    expect(countLeft(new RetryBudget())).toBe(20)
  })

  it.each([
    { wasRetried: false, earned: 1 },
    { wasRetried: true, earned: 2 },
  ])('earns $earned with a success (retried: $wasRetried)', ({ wasRetried, earned }) => {
    const budget = spent()
    budget.earn(wasRetried)
    expect(countLeft(budget)).toBe(earned)
  })

  it('earns two with a success of a mint that was retried', async () => {
    const budget = spent()
    budget.earn(false)
    await run({ ends: [down, 'token'], budget })
    expect(countLeft(budget)).toBe(2)
  })

  it('holds no more than 20, however many successes', () => {
    const budget = new RetryBudget()
    for (let success = 1; success <= 1_000; success++) budget.earn(true)
    expect(countLeft(budget)).toBe(20)
  })
})
