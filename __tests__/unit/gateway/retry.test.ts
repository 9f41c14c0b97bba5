import { describe, expect, it } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import { VKitRateLimitError, VKitRequestError, VKitServerError, VKitTimeoutError } from '../../../lib/core/errors.js'
import { Events } from '../../../lib/core/events.js'
import { retry, RetryBudget } from '../../../lib/gateway/retry.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { seededRandom } from '../../support/random.js'

interface Run {
  /** What the attempts end with, one after the other; the last one stays. */
  readonly ends: readonly (Error | string)[]
  readonly maxRetries?: number
  readonly budget?: RetryBudget
  readonly deadlineMs?: number
}

async function run({ ends, maxRetries = 2, budget = new RetryBudget(), deadlineMs = 15_000 }: Run) {
  const clock = new FakeClock()
  const attemptsAt: number[] = []
  const deadline = new Deadline(clock, deadlineMs, () => new VKitTimeoutError('late'))
  const attempt = (): Promise<string> => {
    attemptsAt.push(clock.monotonic())
    const end = ends[Math.min(attemptsAt.length, ends.length) - 1] ?? ''
    return typeof end === 'string' ? Promise.resolve(end) : Promise.reject(end)
  }
  const outcome = retry(
    attempt,
    { maxRetries, budget, clock, events: new Events(), random: seededRandom() },
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

  it('makes maxRetries attempts after the first, and says how many there were', async () => {
    const { outcome, attemptsAt } = await run({ ends: [down] })
    expect(outcome).toMatchObject({ code: 'VKIT_UNAVAILABLE', attempts: 3 })
    expect(attemptsAt).toHaveLength(3)
    expect((await run({ ends: [down], maxRetries: 0 })).outcome).toMatchObject({ attempts: 1 })
  })

  it('does not try again what no retry would mend', async () => {
    expect((await run({ ends: [new VKitRequestError('bad')] })).outcome).toMatchObject({ attempts: 1 })
  })

  it('waits at least as long as the gateway asked for', async () => {
    const { attemptsAt } = await run({ ends: [new VKitRateLimitError('later', { retryAfterMs: 3_000 }), 'token'] })
    expect(attemptsAt[1]).toBeGreaterThanOrEqual(3_000)
    expect(attemptsAt[1]).toBeLessThanOrEqual(3_500)
  })

  it('does not wait for what the deadline leaves no time for', async () => {
    const { outcome } = await run({ ends: [new VKitServerError('later', { retryAfterMs: 60_000 })] })
    expect(outcome).toMatchObject({ attempts: 1, retryAfterMs: 60_000 })
  })

  it('does not try again when the budget is spent', async () => {
    expect((await run({ ends: [down], budget: spent() })).outcome).toMatchObject({ attempts: 1 })
  })
})

describe('the retry budget', () => {
  it('has ten retries at first, and one more for every ten successes', () => {
    const budget = new RetryBudget()
    expect(Array.from({ length: 11 }, () => budget.spend())).toEqual([...Array<boolean>(10).fill(true), false])
    for (let success = 1; success <= 11; success++) budget.earn()
    expect([budget.spend(), budget.spend()]).toEqual([true, false])
  })

  it('holds no more than ten, however many successes', () => {
    const budget = new RetryBudget()
    for (let success = 1; success <= 1_000; success++) budget.earn()
    expect(Array.from({ length: 11 }, () => budget.spend()).filter(Boolean)).toHaveLength(10)
  })
})
