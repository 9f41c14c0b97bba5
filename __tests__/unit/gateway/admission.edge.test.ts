import { describe, expect, it, jest } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import { Events } from '../../../lib/core/events.js'
import type { AdmittedAttempt } from '../../../lib/gateway/mint-queue.js'
import { MintPriority } from '../../../lib/gateway/mint-priority.js'
import { FakeClock } from '../../../lib/testing/index.js'

jest.unstable_mockModule(
  '../../../lib/core/request-context.js',
  () => import('../../../lib/core/request-context.edge.js'),
)
const { Admission } = await import('../../../lib/gateway/admission.js')

function setUp() {
  const clock = new FakeClock()
  const options = { timeoutMs: 5_000, maxConnections: () => 1, clock, random: () => 0.5 }
  const admission = new Admission({ ...options, events: new Events(() => undefined) })
  const admit = (key: string): AdmittedAttempt | Promise<AdmittedAttempt> => {
    const deadline = new Deadline(clock, 60_000, () => new Error('late'))
    return admission.admit({ key, deadline, priority: new MintPriority('call'), isReturning: false })
  }
  return { clock, admission, admit }
}

describe('admission at the edge', () => {
  it('lets no attempt wait, although none of 1,000 has ended', () => {
    const { admission, admit } = setUp()
    for (let user = 0; user < 1_000; user++) expect(admit(`user ${user}`)).not.toBeInstanceOf(Promise)
    expect(admission.stats).toMatchObject({ concurrencyLimit: Infinity, queued: 0 })
  })

  it('has no limit after timeouts and rate limits either', async () => {
    const { clock, admission, admit } = setUp()
    for (let user = 0; user < 30; user++) {
      const attempt = await admit(`user ${user}`)
      await clock.advance(1)
      admission.end(attempt, user % 2 ? { kind: 'rate-limited' } : { kind: 'timeout' })
    }
    expect(admission.stats.concurrencyLimit).toBe(Infinity)
  })

  it('probes again although the request of a probe has ended, and closes the circuit', async () => {
    const { clock, admission, admit } = setUp()
    for (let user = 0; user < 40; user++) admission.end(await admit(`user ${user}`), { kind: 'failure' })
    expect(admission.stats.circuit).toBe('open')
    await clock.advance(1_000)
    expect(await admit('ended')).toMatchObject({ isProbe: true })
    expect(() => admit('other')).toThrow('the circuit is open')
    // The second wait is half of 2 s.
    await clock.advance(1_000)
    admission.end(await admit('other'), { kind: 'success' })
    expect(admission.stats.circuit).toBe('closed')
  })

  it('does not keep a callback for the opening of the circuit', async () => {
    const { admission, admit } = setUp()
    const called: string[] = []
    admission.onCircuitOpen(() => called.push('ended'))
    for (let user = 0; user < 40; user++) admission.end(await admit(`user ${user}`), { kind: 'failure' })
    expect(called).toEqual([])
  })
})
