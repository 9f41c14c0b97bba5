import { describe, expect, it } from '@jest/globals'
import { OutagePolicy, type OutagePolicyOptions } from '../../../lib/batch/outage-policy.js'
import { VKitRateLimitError, VKitServerError } from '../../../lib/core/errors.js'
import type { RefusedBy } from '../../../lib/core/vkit-error.js'
import { FakeClock } from '../../../lib/testing/index.js'

const down = (retryAfterMs?: number, refusedBy: RefusedBy = 'circuit'): VKitServerError =>
  new VKitServerError('down', { retryAfterMs, refusedBy })

function setUp(options: Partial<OutagePolicyOptions> = {}): { clock: FakeClock; policy: OutagePolicy } {
  const clock = new FakeClock()
  const policy = new OutagePolicy({
    onOutage: 'wait',
    maxOutageMs: 60_000,
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

  it('waits for at most maxOutageMs from the first failure', async () => {
    const { clock, policy } = setUp()
    policy.recordFailure(down())
    await clock.advance(60_000)
    policy.recordFailure(down())
    expect(policy.canWait).toBe(true)
    await clock.advance(1)
    expect([policy.canWait, policy.isProbing]).toEqual([false, false])
  })

  it('does not wait for a probe that would come after maxOutageMs', () => {
    const { policy } = setUp()
    policy.recordFailure(down(60_001))
    expect(policy.canWait).toBe(false)
    expect(policy.pauseMs()).toBeLessThanOrEqual(0)
  })

  it('pauses until the circuit admits a probe', async () => {
    const { clock, policy } = setUp()
    policy.recordFailure(down(2_000))
    policy.recordFailure(down(500))
    await clock.advance(500)
    expect(policy.pauseMs()).toBe(1_500)
    policy.recordSuccess()
    expect(policy.pauseMs()).toBeLessThanOrEqual(0)
  })

  it("never waits with onOutage: 'fail'", () => {
    const { policy } = setUp({ onOutage: 'fail' })
    policy.recordFailure(down(2_000))
    expect([policy.canWait, policy.isProbing]).toEqual([false, false])
    expect(policy.pauseMs()).toBeLessThanOrEqual(0)
  })
})

describe('a pause', () => {
  it.each([
    ['follows', 'circuit', 2_000],
    ['follows', 'overload', 2_000],
    ['does not follow', 'key', 0],
  ] as const)('%s a refusal by %s', (_, refusedBy, pauseMs) => {
    const { policy } = setUp()
    policy.recordFailure(down(2_000, refusedBy))
    expect(policy.pauseMs()).toBe(pauseMs)
  })

  it('does not follow the Retry-After of one identity', () => {
    const { policy } = setUp()
    policy.recordFailure(new VKitRateLimitError('later', { attempts: 1, retryAfterMs: 30_000 }))
    expect(policy.pauseMs()).toBe(0)
  })
})

describe('a failure', () => {
  it("is the identity's own fault after five attempts if others succeeded meanwhile", () => {
    const { policy } = setUp()
    policy.recordSuccess()
    expect(policy.isOwnFault({ attempts: 5, successesBefore: 0 })).toBe(true)
    expect(policy.isOwnFault({ attempts: 4, successesBefore: 0 })).toBe(false)
    expect(policy.isOwnFault({ attempts: 9, successesBefore: 1 })).toBe(false)
  })
})
