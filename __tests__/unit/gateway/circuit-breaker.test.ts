import { describe, expect, it } from '@jest/globals'
import { Events, type VKitEvent } from '../../../lib/core/events.js'
import { CircuitBreaker } from '../../../lib/gateway/circuit-breaker.js'
import { FakeClock } from '../../../lib/testing/index.js'

/** Half of the longest first wait, because `random` always returns 0.5 here. */
const FIRST_WAIT_MS = 500

function setUp({ random = (): number => 0.5 } = {}) {
  const clock = new FakeClock()
  const events: VKitEvent[] = []
  const circuit = new CircuitBreaker({ clock, events: new Events(event => void events.push(event)), random })
  /** Fails an attempt of each of `users` users. Returns whether the last one opened the circuit. */
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
  /** Requests a probe for each of `users` users. Returns how many the circuit admits. */
  const probe = (users: number): number => {
    let probes = 0
    for (let user = 1; user <= users; user++) {
      if (!circuit.refusalOf(`user ${user}`) && circuit.admit(`user ${user}`)) probes++
    }
    return probes
  }
  return { clock, events, circuit, fail, refuse, probe }
}

/** Opens a circuit, lets it refuse `refused` calls, and advances to its first round of probes. */
async function setUpRound({ refused = 0 } = {}) {
  const all = setUp()
  all.fail(40)
  all.refuse(refused)
  await all.clock.advance(FIRST_WAIT_MS)
  return all
}

describe('the circuit', () => {
  it('admits every attempt while it is closed', () => {
    const { circuit, fail } = setUp()
    fail(39)
    expect(circuit.state).toBe('closed')
    expect(circuit.refusalOf('user 1')).toBeUndefined()
    expect(circuit.admit('user 1')).toBe(false)
  })

  it('opens after 40 users failed', () => {
    const { circuit, fail, events } = setUp()
    expect(fail(40)).toBe(true)
    expect(circuit.state).toBe('open')
    expect(events).toEqual([{ type: 'circuit-open', retryAfterMs: FIRST_WAIT_MS }])
  })

  it('opens at low traffic 5 s after the first failed attempt was sent', async () => {
    const { clock, circuit, fail } = setUp()
    fail(4)
    await clock.advance(5_000)
    circuit.recordFailure({ key: 'user 1', sentAt: clock.monotonic() })
    expect(circuit.isOpen).toBe(true)
  })

  it('stays closed if one attempt succeeds in between', () => {
    const { circuit, fail } = setUp()
    fail(39)
    circuit.recordSuccess()
    fail(39)
    expect(circuit.isOpen).toBe(false)
  })

  it('opens once, however many attempts fail', () => {
    const { fail, events } = setUp()
    fail(40)
    expect(fail(100)).toBe(false)
    expect(events).toHaveLength(1)
  })

  it('refuses calls while it is open, with the remaining time as retryAfterMs', async () => {
    const { clock, circuit, fail } = setUp()
    fail(40)
    await clock.advance(200.5)
    expect(circuit.refusalOf('a')).toMatchObject({
      ...{ code: 'VKIT_UNAVAILABLE', refusedBy: 'circuit', attempts: 0, retryAfterMs: 300, retryable: true },
      message: 'The gateway has failed repeatedly: the circuit is open. Try again after retryAfterMs.',
    })
  })

  it('closes after one success', async () => {
    const { circuit, events } = await setUpRound()
    circuit.admit('a')
    circuit.recordSuccess()
    expect(circuit.state).toBe('closed')
    expect(circuit.refusalOf('b')).toBeUndefined()
    expect(events.at(-1)).toEqual({ type: 'circuit-close' })
  })

  it('opens again only after 40 more users failed', async () => {
    const { circuit, fail } = await setUpRound()
    circuit.recordSuccess()
    expect(fail(39)).toBe(false)
    expect(fail(40)).toBe(true)
  })
})

describe('the wait for probes', () => {
  it.each([
    { random: 0, expected: [0, 0, 0, 0, 0] },
    { random: 0.25, expected: [250, 500, 1_000, 1_250, 1_250] },
    { random: 0.5, expected: [500, 1_000, 2_000, 2_500, 2_500] },
    { random: 0.999, expected: [999, 1_998, 3_996, 4_995, 4_995] },
  ])(
    'is at most 1 s at first, doubles with each round up to 5 s, and is short again after a success: random $random',
    async ({ random, expected }) => {
      const { clock, circuit, fail } = setUp({ random: () => random })
      fail(40)
      const waits: (number | undefined)[] = []
      for (let round = 1; round <= 5; round++) {
        waits.push(circuit.refusal().retryAfterMs)
        await clock.advance(waits.at(-1) ?? 0)
        circuit.admit('probe')
      }
      expect(waits).toEqual(expected)
      circuit.recordSuccess()
      fail(40)
      expect(circuit.refusal().retryAfterMs).toBe(expected[0])
    },
  )
})

describe('a round of probes', () => {
  it('begins when the wait ends; until then, every call is refused', async () => {
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
    'has one probe per ten calls refused before, at least one and at most eight: %d refused',
    async (refused, probes) => {
      const { circuit, probe } = await setUpRound({ refused })
      expect(probe(100)).toBe(probes)
      expect(circuit.state).toBe('open')
    },
  )

  it('sends each probe for a different user', async () => {
    const { circuit } = await setUpRound({ refused: 20 })
    expect(circuit.admit('a')).toBe(true)
    expect(circuit.refusalOf('a')).toBeDefined()
    expect(circuit.state).toBe('half-open')
    expect(circuit.refusalOf('b')).toBeUndefined()
  })

  it('may probe with a user of the previous round', async () => {
    const { clock, circuit, refuse } = await setUpRound()
    circuit.admit('a')
    refuse(20)
    await clock.advance(5_000)
    circuit.admit('b')
    expect(circuit.refusalOf('a')).toBeUndefined()
  })

  it('counts only the calls refused since the previous round began', async () => {
    const { clock, refuse, probe } = await setUpRound({ refused: 100 })
    expect(probe(8)).toBe(8)
    refuse(30)
    await clock.advance(5_000)
    expect(probe(100)).toBe(3)
  })

  it('does not use up a probe when refusalOf is called', async () => {
    const { circuit } = await setUpRound()
    for (let call = 1; call <= 100; call++) expect(circuit.refusalOf('a')).toBeUndefined()
  })

  it('is followed by another round even if no probe ever settles', async () => {
    const { clock, circuit } = await setUpRound()
    circuit.admit('a')
    await clock.advance(5_000)
    expect(circuit.state).toBe('half-open')
  })

  it('lets the same or another user probe after a probe was released', async () => {
    const { circuit } = await setUpRound()
    circuit.admit('a')
    circuit.releaseProbe('a')
    expect([circuit.refusalOf('a'), circuit.refusalOf('b')]).toEqual([undefined, undefined])
    circuit.admit('b')
    expect(circuit.refusalOf('c')).toBeDefined()
  })

  it('has no more probes if one of an earlier round is released', async () => {
    const { clock, circuit, probe } = await setUpRound()
    circuit.admit('a')
    await clock.advance(5_000)
    circuit.admit('b')
    circuit.releaseProbe('a')
    expect(probe(10)).toBe(0)
  })

  it('does not open a closed circuit when a probe is released', async () => {
    const { circuit } = await setUpRound()
    circuit.admit('a')
    circuit.recordSuccess()
    circuit.releaseProbe('a')
    expect(circuit.state).toBe('closed')
  })
})
