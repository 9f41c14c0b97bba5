import { describe, expect, it } from '@jest/globals'
import { CircuitBreaker } from '../../../lib/gateway/circuit-breaker.js'
import { VKitRequestError, VKitServerError } from '../../../lib/core/errors.js'
import { Events, type VKitEventType } from '../../../lib/core/events.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { seededRandom } from '../../support/random.js'

const LONGEST_PROBE_MS = 30_000

function setUp(): {
  circuit: CircuitBreaker
  clock: FakeClock
  told: VKitEventType[]
  fail: (error?: Error) => Promise<void>
} {
  const clock = new FakeClock()
  const told: VKitEventType[] = []
  const circuit = new CircuitBreaker({
    clock,
    events: new Events(event => void told.push(event.type)),
    random: seededRandom(),
  })
  const fail = (error: Error = new VKitServerError('down')): Promise<void> =>
    expect(circuit.run(() => Promise.reject(error))).rejects.toBe(error)
  return { circuit, clock, told, fail }
}

describe('the circuit', () => {
  it('opens at the fifth retryable failure in a row', async () => {
    const { circuit, told, fail } = setUp()
    for (let failure = 1; failure <= 4; failure++) await fail()
    expect(circuit.state).toBe('closed')
    await fail(new VKitServerError('down', { retryAfterMs: 60_000 }))
    expect(circuit.state).toBe('open')
    expect(told).toEqual(['circuit-open'])
  })

  it('counts from the start again after a success', async () => {
    const { circuit, fail } = setUp()
    for (let failure = 1; failure <= 4; failure++) await fail()
    await circuit.run(() => Promise.resolve())
    for (let failure = 1; failure <= 4; failure++) await fail()
    expect(circuit.state).toBe('closed')
  })

  it('does not count failures that no wait would mend', async () => {
    const { circuit, fail } = setUp()
    for (let failure = 1; failure <= 20; failure++) await fail(new VKitRequestError('bad'))
    for (let failure = 1; failure <= 20; failure++) await fail(new Error('of ours'))
    expect(circuit.state).toBe('closed')
  })

  it('while open fails at once, runs nothing, and says how long', async () => {
    const { circuit, clock, fail } = setUp()
    for (let failure = 1; failure <= 5; failure++) await fail(new VKitServerError('down', { retryAfterMs: 20_000 }))
    await clock.advance(5_000)
    let runs = 0
    const call = circuit.run(() => Promise.resolve(runs++))
    await expect(call).rejects.toMatchObject({ code: 'VKIT_UNAVAILABLE', retryAfterMs: 15_000, attempts: 0 })
    expect(runs).toBe(0)
  })

  it('lets another probe through where one never settles', async () => {
    const { circuit, clock, fail } = setUp()
    for (let failure = 1; failure <= 5; failure++) await fail()
    await clock.advance(1_000)
    expect(circuit.state).toBe('half-open')
    void circuit.run(() => new Promise(() => undefined))
    await clock.advance(LONGEST_PROBE_MS)
    expect(circuit.state).toBe('half-open')
  })

  it('never waits longer than half a minute for the next probe, however long the outage', async () => {
    const { circuit, clock, fail } = setUp()
    for (let failure = 1; failure <= 5; failure++) await fail()
    for (let probe = 1; probe <= 50; probe++) {
      await clock.advance(LONGEST_PROBE_MS)
      expect(circuit.state).toBe('half-open')
      await fail()
    }
  })

  it('closes at the first success', async () => {
    const { circuit, clock, told, fail } = setUp()
    for (let failure = 1; failure <= 5; failure++) await fail()
    await clock.advance(1_000)
    await expect(circuit.run(() => Promise.resolve('token'))).resolves.toBe('token')
    expect(circuit.state).toBe('closed')
    expect(told).toEqual(['circuit-open', 'circuit-close'])
  })

  it('closes at a refusal too, for that is an answer', async () => {
    const { circuit, clock, fail } = setUp()
    for (let failure = 1; failure <= 5; failure++) await fail()
    await clock.advance(1_000)
    await fail(new VKitRequestError('no', { status: 403 }))
    expect(circuit.state).toBe('closed')
  })

  it('keeps the probe for the next call where one found out nothing', async () => {
    const { circuit, clock, fail } = setUp()
    for (let failure = 1; failure <= 5; failure++) await fail()
    await clock.advance(1_000)
    for (let call = 1; call <= 20; call++) await fail(new Error('aborted'))
    expect(circuit.state).toBe('half-open')
  })

  it('does not count what was ours', async () => {
    const { circuit } = setUp()
    const error = new VKitServerError('in haste')
    for (let failure = 1; failure <= 20; failure++) {
      const call = circuit.run(
        () => Promise.reject(error),
        () => true,
      )
      await expect(call).rejects.toBe(error)
    }
    expect(circuit.state).toBe('closed')
  })

  it('is not kept open by one Retry-After for longer than by an outage', async () => {
    const { circuit, clock, fail } = setUp()
    for (let failure = 1; failure <= 5; failure++) await fail(new VKitServerError('busy', { retryAfterMs: 86_400_000 }))
    await clock.advance(LONGEST_PROBE_MS)
    expect(circuit.state).toBe('half-open')
  })
})
