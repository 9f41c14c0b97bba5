import { describe, expect, it } from '@jest/globals'
import { OutagePolicy, type OutagePolicyOptions } from '../../../lib/batch/outage-policy.js'
import { newWork, type FailedWork } from '../../../lib/batch/work-queue.js'
import { VKitRateLimitError, VKitServerError } from '../../../lib/core/errors.js'
import type { RefusedBy, VKitError } from '../../../lib/core/vkit-error.js'
import { FakeClock } from '../../../lib/testing/index.js'

const down = (retryAfterMs?: number, refusedBy: RefusedBy = 'circuit'): VKitServerError =>
  new VKitServerError('down', { retryAfterMs, refusedBy })
const limited = new VKitRateLimitError('later', { attempts: 1, retryAfterMs: 30_000 })

function setUp(options: Partial<OutagePolicyOptions> = {}) {
  const clock = new FakeClock()
  let responses = 0
  const policy = new OutagePolicy({
    onOutage: 'wait',
    maxOutageMs: 60_000,
    responses: () => responses,
    clock,
    ...options,
  })
  const fail = (times: number, error: VKitError = down()): void => {
    for (let i = 0; i < times; i++) policy.recordFailure(error)
  }
  return { clock, policy, fail, respond: () => responses++ }
}

describe('a run in an outage', () => {
  it('probes from the eighth failure without a response to the next response', () => {
    const { policy, fail, respond } = setUp()
    fail(7)
    expect(policy.isProbing).toBe(false)
    fail(1)
    expect(policy.isProbing).toBe(true)
    respond()
    expect(policy.isProbing).toBe(false)
    fail(7)
    expect(policy.isProbing).toBe(false)
  })

  it('does not probe because of rate limits', () => {
    const { policy, fail } = setUp()
    fail(100, limited)
    expect(policy.isProbing).toBe(false)
  })

  it('waits for at most maxOutageMs from the first failure', async () => {
    const { clock, policy, fail, respond } = setUp()
    respond()
    await clock.advance(1_000)
    fail(1)
    await clock.advance(60_000)
    fail(10)
    expect([policy.canWait, policy.isProbing]).toEqual([true, true])
    await clock.advance(1)
    expect([policy.canWait, policy.isProbing]).toEqual([false, false])
  })

  it('does not wait for a probe that would come after maxOutageMs', () => {
    const { policy, fail } = setUp()
    fail(1, down(60_001))
    expect(policy.canWait).toBe(false)
    expect(policy.pauseMs()).toBe(0)
  })

  it('pauses until the circuit admits a probe', async () => {
    const { clock, policy, fail, respond } = setUp()
    fail(1, down(2_000))
    fail(1, down(500))
    await clock.advance(500)
    expect(policy.pauseMs()).toBe(1_500)
    respond()
    expect(policy.pauseMs()).toBe(0)
  })

  it('no longer waits, and retries nothing, after stopWaiting', () => {
    const { policy, fail } = setUp()
    fail(10, down(2_000))
    expect([policy.mayWait, policy.isProbing, policy.pauseMs()]).toEqual([true, true, 2_000])
    policy.stopWaiting()
    expect([policy.mayWait, policy.isProbing, policy.pauseMs()]).toEqual([false, false, 0])
  })

  it('does not wait for an identity that must wait longer than maxOutageMs', async () => {
    const { clock, policy } = setUp()
    await clock.advance(1_000)
    expect([61_000, 61_001].map(notBefore => policy.isTooLong({ notBefore }))).toEqual([false, true])
  })

  it("never waits with onOutage: 'fail'", () => {
    const { policy, fail } = setUp({ onOutage: 'fail' })
    fail(10, down(2_000))
    expect([policy.canWait, policy.isProbing, policy.pauseMs()]).toEqual([false, false, 0])
  })
})

describe('a pause', () => {
  it.each([
    ['follows', 'circuit', 2_000],
    ['follows', 'overload', 2_000],
    ['does not follow', 'key', 0],
  ] as const)('%s a refusal by %s', (_, refusedBy, pauseMs) => {
    const { policy, fail } = setUp()
    fail(1, down(2_000, refusedBy))
    expect(policy.pauseMs()).toBe(pauseMs)
  })

  it('does not follow the Retry-After of one identity', () => {
    const { policy, fail } = setUp()
    fail(1, limited)
    expect(policy.pauseMs()).toBe(0)
  })
})

describe('a failure', () => {
  const failed = (error: VKitError): FailedWork => Object.assign(newWork('anna'), { error, responsesBefore: 0 })
  const isOwnFaultAfter = (tries: number, policy: OutagePolicy, work: FailedWork): boolean => {
    for (let i = 1; i < tries; i++) policy.isOwnFault(work)
    return policy.isOwnFault(work)
  }

  it("is the identity's own fault after five tries", () => {
    const { policy } = setUp()
    const work = failed(new VKitServerError('down', { attempts: 3 }))
    expect(isOwnFaultAfter(4, policy, work)).toBe(false)
    expect(policy.isOwnFault(work)).toBe(true)
  })

  it('is not counted if nothing was sent', () => {
    const { policy } = setUp()
    expect(isOwnFaultAfter(9, policy, failed(new VKitServerError('down', { attempts: 0 })))).toBe(false)
  })

  it('with a 429 is not counted while many identities are told 429, until a reference succeeds', () => {
    const { policy } = setUp()
    for (let i = 0; i < 9; i++) policy.recordFirst(false, false)
    for (let i = 0; i < 2; i++) policy.recordFirst(true, false)
    expect(policy.isLimitOfAll).toBe(false)
    policy.recordFirst(true, false)
    expect(isOwnFaultAfter(9, policy, failed(limited))).toBe(false)
    expect(isOwnFaultAfter(5, policy, failed(new VKitServerError('down', { attempts: 3 })))).toBe(true)
    policy.recordFirst(false, true)
    expect(isOwnFaultAfter(5, policy, failed(limited))).toBe(true)
  })
})
