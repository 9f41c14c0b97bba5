import { describe, expect, it } from '@jest/globals'
import { OutagePolicy, type OutagePolicyOptions } from '../../../lib/batch/outage-policy.js'
import { VKitServerError } from '../../../lib/core/errors.js'
import { FakeClock } from '../../../lib/testing/index.js'

const down = (retryAfterMs?: number): VKitServerError => new VKitServerError('down', { retryAfterMs })

function setUp(options: Partial<OutagePolicyOptions> = {}): { clock: FakeClock; policy: OutagePolicy } {
  const clock = new FakeClock()
  const policy = new OutagePolicy({
    onOutage: 'wait',
    maxOutageMs: 60_000,
    rateLimitedUntil: () => -Infinity,
    deadlineMs: 15_000,
    clock,
    ...options,
  })
  return { clock, policy }
}

describe('a run in an outage', () => {
  it('probes from the first failure to the next success', () => {
    const { policy } = setUp()
    expect(policy.isProbing).toBe(false)
    policy.recordFailure(down())
    expect(policy.isProbing).toBe(true)
    policy.recordSuccess()
    expect([policy.isProbing, policy.successes]).toEqual([false, 1])
  })

  it('waits no longer than agreed, counted from the first failure', async () => {
    const { clock, policy } = setUp()
    policy.recordFailure(down())
    await clock.advance(60_000)
    policy.recordFailure(down())
    expect(policy.canWait).toBe(true)
    await clock.advance(1)
    expect([policy.canWait, policy.isProbing]).toEqual([false, false])
  })

  it('does not wait for a probe that comes after the end of the agreed time', () => {
    const { policy } = setUp()
    policy.recordFailure(down(60_001))
    expect(policy.canWait).toBe(false)
    expect(policy.pauseMs()).toBeLessThanOrEqual(0)
  })

  it('pauses until the circuit lets a probe through', async () => {
    const { clock, policy } = setUp()
    policy.recordFailure(down(2_000))
    policy.recordFailure(down(500))
    await clock.advance(500)
    expect(policy.pauseMs()).toBe(1_500)
    policy.recordSuccess()
    expect(policy.pauseMs()).toBeLessThanOrEqual(0)
  })

  it('never waits if it is to fail', () => {
    const { policy } = setUp({ onOutage: 'fail' })
    policy.recordFailure(down(2_000))
    expect([policy.canWait, policy.isProbing]).toEqual([false, false])
    expect(policy.pauseMs()).toBeLessThanOrEqual(0)
  })
})

describe('a rate limit', () => {
  const limitedFor =
    (ms: number): (() => number) =>
    () =>
      new FakeClock().monotonic() + ms

  it.each([
    ['is waited for', 'wait', 60_000, 60_000],
    ['is not waited for beyond the agreed time', 'wait', 60_001, 0],
    ['is waited for in a run that is to fail', 'fail', 15_000, 15_000],
    ['is not waited for beyond the deadline of a call', 'fail', 15_001, 0],
  ] as const)('%s', (_, onOutage, ms, pauseMs) => {
    const { policy } = setUp({ onOutage, rateLimitedUntil: limitedFor(ms) })
    expect(policy.pauseMs()).toBe(pauseMs)
  })
})

describe('a failure', () => {
  it('is an own one after five attempts, if others succeeded meanwhile', () => {
    const { policy } = setUp()
    policy.recordSuccess()
    expect(policy.isOwnFault({ attempts: 5, successesBefore: 0 })).toBe(true)
    expect(policy.isOwnFault({ attempts: 4, successesBefore: 0 })).toBe(false)
    expect(policy.isOwnFault({ attempts: 9, successesBefore: 1 })).toBe(false)
  })
})
