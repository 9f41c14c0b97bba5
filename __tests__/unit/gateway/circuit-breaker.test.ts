import { describe, expect, it } from '@jest/globals'
import { Events, type VKitEvent } from '../../../lib/core/events.js'
import { CircuitBreaker } from '../../../lib/gateway/circuit-breaker.js'
import { FakeClock } from '../../../lib/testing/index.js'

/** Half of the longest first wait: the `random` here always gives 0.5. */
const FIRST_WAIT_MS = 500

function setUp({ random = (): number => 0.5 } = {}) {
  const clock = new FakeClock()
  const events: VKitEvent[] = []
  const circuit = new CircuitBreaker({ clock, events: new Events(event => void events.push(event)), random })
  /** Fails an attempt of each of so many users. Returns whether the last one opened the circuit. */
  const fail = (users: number): boolean => {
    let opened = false
    for (let user = 1; user <= users; user++) {
      opened = circuit.recordFailure({ key: `user ${user}`, sentAt: clock.monotonic() })
    }
    return opened
  }
  const refuse = (calls: number): void => {
    for (let call = 1; call <= calls; call++) expect(circuit.refusalOf('any')).toBeDefined()
  }
  /** Sends what the circuit lets through of so many users. Returns how many that is. */
  const probe = (users: number): number => {
    let probes = 0
    for (let user = 1; user <= users; user++) {
      if (!circuit.refusalOf(`user ${user}`) && circuit.admit(`user ${user}`)) probes++
    }
    return probes
  }
  return { clock, events, circuit, fail, refuse, probe }
}

/** A circuit that refused so many calls, at the moment when its first round of probes begins. */
async function setUpRound({ refused = 0 } = {}) {
  const all = setUp()
  all.fail(40)
  all.refuse(refused)
  await all.clock.advance(FIRST_WAIT_MS)
  return all
}

describe('the circuit', () => {
  it('lets everything through while it is closed', () => {
    const { circuit, fail } = setUp()
    fail(39)
    expect(circuit.state).toBe('closed')
    expect(circuit.refusalOf('user 1')).toBeUndefined()
    expect(circuit.admit('user 1')).toBe(false)
  })

  it('opens when 40 users failed', () => {
    const { circuit, fail, events } = setUp()
    expect(fail(40)).toBe(true)
    expect(circuit.state).toBe('open')
    expect(events).toEqual([{ type: 'circuit-open', retryAfterMs: FIRST_WAIT_MS }])
  })

  it('opens at low traffic, 5 s after the first attempt that failed was sent', async () => {
    const { clock, circuit, fail } = setUp()
    fail(4)
    await clock.advance(5_000)
    circuit.recordFailure({ key: 'user 1', sentAt: clock.monotonic() })
    expect(circuit.isOpen).toBe(true)
  })

  it('stays closed where one success came between', () => {
    const { circuit, fail } = setUp()
    fail(39)
    circuit.recordSuccess()
    fail(39)
    expect(circuit.isOpen).toBe(false)
  })

  it('opens once, however many fail', () => {
    const { fail, events } = setUp()
    fail(40)
    expect(fail(100)).toBe(false)
    expect(events).toHaveLength(1)
  })

  it('refuses calls while it is open, and says how long', async () => {
    const { clock, circuit, fail } = setUp()
    fail(40)
    await clock.advance(200.5)
    expect(circuit.refusalOf('a')).toMatchObject({
      ...{ code: 'VKIT_UNAVAILABLE', refusedBy: 'circuit', attempts: 0, retryAfterMs: 300, retryable: true },
    })
  })

  it('closes at one success', async () => {
    const { circuit, events } = await setUpRound()
    circuit.admit('a')
    circuit.recordSuccess()
    expect(circuit.state).toBe('closed')
    expect(circuit.refusalOf('b')).toBeUndefined()
    expect(events.at(-1)).toEqual({ type: 'circuit-close' })
  })

  it('opens anew only when 40 users failed anew', async () => {
    const { circuit, fail } = await setUpRound()
    circuit.recordSuccess()
    expect(fail(39)).toBe(false)
    expect(fail(40)).toBe(true)
  })
})

describe('the wait for probes', () => {
  it.each([
    [0, 0],
    [0.999, 999],
  ])('is anything up to 1 s at first: random %d', (random, ms) => {
    const { fail, events } = setUp({ random: () => random })
    fail(40)
    expect(events).toMatchObject([{ type: 'circuit-open', retryAfterMs: ms }])
  })

  it('doubles with each round, up to 5 s, and is short again after a success', async () => {
    const { clock, circuit, fail } = setUp()
    fail(40)
    const waits: (number | undefined)[] = []
    for (let round = 1; round <= 5; round++) {
      waits.push(circuit.refusal().retryAfterMs)
      await clock.advance(waits.at(-1) ?? 0)
      circuit.admit('probe')
    }
    expect(waits).toEqual([500, 1_000, 2_000, 2_500, 2_500])
    circuit.recordSuccess()
    fail(40)
    expect(circuit.refusal().retryAfterMs).toBe(500)
  })
})

describe('a round of probes', () => {
  it('begins at its moment: until then all are refused', async () => {
    const { clock, circuit, fail } = setUp()
    fail(40)
    await clock.advance(FIRST_WAIT_MS - 1)
    expect([circuit.state, circuit.refusalOf('a')?.retryAfterMs]).toEqual(['open', 1])
    await clock.advance(1)
    expect([circuit.state, circuit.refusalOf('a')]).toEqual(['half-open', undefined])
  })

  it.each([
    [0, 1],
    [19, 1],
    [20, 2],
    [79, 7],
    [80, 8],
    [10_000, 8],
  ])(
    'has one probe for ten calls refused before, one at least and eight at most: %d refused',
    async (refused, probes) => {
      const { circuit, probe } = await setUpRound({ refused })
      expect(probe(100)).toBe(probes)
      expect(circuit.state).toBe('open')
    },
  )

  it('probes with different users', async () => {
    const { circuit } = await setUpRound({ refused: 20 })
    expect(circuit.admit('a')).toBe(true)
    expect(circuit.refusalOf('a')).toBeDefined()
    expect(circuit.state).toBe('half-open')
    expect(circuit.refusalOf('b')).toBeUndefined()
  })

  it('may probe with a user of the round before', async () => {
    const { clock, circuit, refuse } = await setUpRound()
    circuit.admit('a')
    refuse(20)
    await clock.advance(5_000)
    circuit.admit('b')
    expect(circuit.refusalOf('a')).toBeUndefined()
  })

  it('counts only the calls refused since the last one began', async () => {
    const { clock, refuse, probe } = await setUpRound({ refused: 100 })
    expect(probe(8)).toBe(8)
    refuse(30)
    await clock.advance(5_000)
    expect(probe(100)).toBe(3)
  })

  it('loses no probe by being asked', async () => {
    const { circuit } = await setUpRound()
    for (let call = 1; call <= 100; call++) expect(circuit.refusalOf('a')).toBeUndefined()
  })

  it('is followed by another even if no probe ever ends', async () => {
    const { clock, circuit } = await setUpRound()
    circuit.admit('a')
    await clock.advance(5_000)
    expect(circuit.state).toBe('half-open')
  })

  it('gives the place of a probe that found out nothing to another, or the same user', async () => {
    const { circuit } = await setUpRound()
    circuit.admit('a')
    circuit.releaseProbe('a')
    expect([circuit.refusalOf('a'), circuit.refusalOf('b')]).toEqual([undefined, undefined])
    circuit.admit('b')
    expect(circuit.refusalOf('c')).toBeDefined()
  })

  it('does not open a closed circuit for a probe that found out nothing', async () => {
    const { circuit } = await setUpRound()
    circuit.admit('a')
    circuit.recordSuccess()
    circuit.releaseProbe('a')
    expect(circuit.state).toBe('closed')
  })
})
