import { describe, expect, it } from '@jest/globals'
import type { Flight } from '../../../lib/cache/flights.js'
import { LeaseGate } from '../../../lib/cache/lease-gate.js'
import { Deadline } from '../../../lib/core/deadline.js'
import { Events } from '../../../lib/core/events.js'
import { MintLimits } from '../../../lib/gateway/mint-limits.js'
import { MintPriority } from '../../../lib/gateway/mint-priority.js'
import type { LeaseState } from '../../../lib/store/lease.js'
import { FakeClock } from '../../../lib/testing/index.js'
import type { MintedToken } from '../../../lib/token/session-token.js'
import { recordEvents } from '../../support/gateway.js'

const request = { identity: 'user', scopes: [] }

function minted(sessionToken: string): MintedToken {
  return { token: { sessionToken, expiresAt: 'later', ...request } }
}

interface Options {
  readonly isAwaited?: boolean
  /** How long the first caller waits. */
  readonly waitMs?: number
  readonly deadlineMs?: number
  readonly medianMs?: number | undefined
  readonly clock?: FakeClock
  readonly random?: number
}

/** A clock whose event loop is always busy. */
function busyClock(): FakeClock {
  const clock = new FakeClock()
  return Object.assign(clock, { busyMs: () => clock.monotonic() })
}

/** A gate whose lease, record and cached token are in the hands of the test. Without `random`, polls have no jitter. */
function setUp({
  isAwaited = true,
  waitMs = 15_000,
  deadlineMs = 15_000,
  medianMs,
  clock = new FakeClock(),
  random = 1,
}: Options = {}) {
  const { events, types, onEvent } = recordEvents()
  const startedAt = clock.monotonic()
  const flight: Flight = {
    ...{ request, isAwaited, isSent: false, mustMint: false, isReload: false, startedAt },
    neededAt: startedAt + waitMs,
    deadline: new Deadline(clock, deadlineMs, () => new Error('late')),
    priority: new MintPriority('call'),
    limits: new MintLimits({ timeoutMs: 5_000, maxRetries: 2 }),
    sign: undefined,
    isCurrent: () => true,
    next: undefined,
    onJoin: undefined,
    onForget: undefined,
    storeChange: undefined,
  }
  const state = {
    lease: 'held' as LeaseState,
    overtaking: 'held' as LeaseState,
    stored: undefined as MintedToken | undefined,
    cached: undefined as MintedToken | undefined,
  }
  const calls: string[] = []
  const note = <T>(name: string, result: T): T => (calls.push(name), result)
  const gate = new LeaseGate({
    ...{ flight, clock, timeoutMs: 5_000, events: new Events(onEvent) },
    medianMintMs: () => medianMs,
    random: () => random,
    lease: {
      take: async () => note('take', state.lease),
      overtake: async () => note('overtake', state.overtaking),
      release: () => void calls.push('release'),
      recordWait: wait => {
        expect(wait.startedAt).toBe(startedAt)
        calls.push(wait.isFruitless ? 'fruitless' : 'fruitful')
      },
    },
    findStored: async () => note('find', state.stored),
    postpone: () => note('postpone', state.cached),
  })
  /** Goes through the gate as a mint does. Returns what came out, and when. */
  const pass = async (): Promise<{ readonly result: MintedToken | 'mint'; readonly atMs: number }> => {
    while (!flight.deadline.aborted) {
      const decision = await gate.enter()
      const result = decision === 'wait' ? await gate.wait() : decision
      if (result) return { result, atMs: clock.monotonic() - startedAt }
    }
    throw flight.deadline.reason
  }
  return { clock, events, types, flight, state, calls, gate, pass }
}

async function after<T>(clock: FakeClock, ms: number, promise: Promise<T>): Promise<T> {
  await clock.advance(ms)
  return promise
}

describe('the gate of a mint', () => {
  it('lets it pass with the lease', async () => {
    const { state, pass, types, calls } = setUp()
    state.lease = 'taken'
    expect(await pass()).toEqual({ result: 'mint', atMs: 0 })
    expect(types()).toEqual(['lease-taken'])
    expect(calls).toEqual(['take', 'find'])
  })

  it('lets it pass if the store cannot tell who has the lease', async () => {
    const { state, pass, types } = setUp()
    state.lease = 'unavailable'
    expect(await pass()).toEqual({ result: 'mint', atMs: 0 })
    expect(types()).toEqual([])
  })

  it('makes it unnecessary if the record has been written meanwhile, and counts no lease for it', async () => {
    const { state, pass, gate, types, calls } = setUp()
    state.lease = 'taken'
    state.stored = minted('theirs')
    expect(await pass()).toEqual({ result: state.stored, atMs: 0 })
    expect(gate.isFound(state.stored)).toBe(true)
    expect([types(), calls]).toEqual([[], ['take', 'find']])
  })

  it('says of no other token that it was found', async () => {
    const { gate } = setUp()
    expect(gate.isFound(minted('mine'))).toBe(false)
  })

  it('polls the record while another process has the lease, less and less often', async () => {
    const { clock, state, pass, calls, types } = setUp()
    const passing = pass()
    await clock.advance(1_400)
    // It looks for the record after 60, 120, 240 and 450 ms, and from 400 ms on it also tries to take the lease.
    expect(calls.filter(call => call === 'take')).toHaveLength(4)
    state.stored = minted('theirs')
    expect(await after(clock, 450, passing)).toEqual({ result: state.stored, atMs: 60 + 120 + 240 + 3 * 450 })
    expect(types()).toEqual(['lease-wait'])
    expect(calls.at(-1)).toBe('fruitful')
  })

  it('polls after half of that time at least, so that processes do not poll at the same time', async () => {
    const { clock, state, pass } = setUp({ random: 0 })
    const passing = pass()
    state.stored = minted('theirs')
    expect(await after(clock, 60, passing)).toEqual({ result: state.stored, atMs: 30 })
  })

  it('lets it pass when the holder has released the lease without a record', async () => {
    const { clock, state, pass, types } = setUp()
    const passing = pass()
    await clock.advance(10)
    state.lease = 'taken'
    expect(await after(clock, 500, passing)).toEqual({ result: 'mint', atMs: 60 + 120 + 240 })
    expect(types()).toEqual(['lease-wait', 'lease-taken'])
  })

  it('overtakes the holder after 1.5 s and one median mint', async () => {
    const { clock, state, pass, events, calls } = setUp({ medianMs: 100 })
    state.overtaking = 'taken'
    const passing = pass()
    await clock.advance(1_599)
    expect(calls).not.toContain('overtake')
    expect(await after(clock, 1, passing)).toEqual({ result: 'mint', atMs: 1_600 })
    expect(events.slice(1)).toEqual([{ type: 'lease-taken' }, { type: 'lease-timeout', waitedMs: 1_600 }])
    expect(calls.at(-1)).toBe('fruitless')
  })

  it('does not count the time in which the process is busy, up to 3 s', async () => {
    const { clock, state, pass, calls } = setUp({ medianMs: 100, clock: busyClock() })
    state.overtaking = 'taken'
    const passing = pass()
    await clock.advance(4_599)
    expect(calls).not.toContain('overtake')
    expect(await after(clock, 1, passing)).toEqual({ result: 'mint', atMs: 4_600 })
  })

  it('measures on a clock that has run, in a process that was busy, for a while', async () => {
    const clock = busyClock()
    await clock.advance(60_000)
    const { state, pass, events } = setUp({ medianMs: 100, clock })
    state.overtaking = 'taken'
    expect(await after(clock, 4_600, pass())).toEqual({ result: 'mint', atMs: 4_600 })
    expect(events.at(-1)).toEqual({ type: 'lease-timeout', waitedMs: 4_600 })
  })

  it('counts all of its time if the process was only busy before', async () => {
    const clock = new FakeClock()
    Object.assign(clock, { busyMs: () => 2_000 })
    const { state, pass } = setUp({ medianMs: 100, clock })
    state.overtaking = 'taken'
    expect(await after(clock, 1_600, pass())).toEqual({ result: 'mint', atMs: 1_600 })
  })

  it('polls every 120 ms at most while the process is busy', async () => {
    const busy = { since: Infinity }
    const clock = new FakeClock()
    Object.assign(clock, { busyMs: () => Math.max(0, clock.monotonic() - busy.since) })
    const { pass, calls } = setUp({ medianMs: 100, clock })
    const passing = pass()
    await clock.advance(1_590)
    busy.since = 1_590
    const before = calls.length
    await clock.advance(2_900)
    // A poll reads the record, and then asks for the lease and the record.
    expect((calls.length - before) / 3).toBeLessThanOrEqual(1 + 2_900 / 120)
    await after(clock, 10_000, passing)
  })

  it('waits for as long as an attempt may take if no mint has shown how long one takes', async () => {
    const { clock, state, pass, calls } = setUp({ waitMs: 60_000, deadlineMs: 60_000 })
    state.overtaking = 'taken'
    const passing = pass()
    await clock.advance(6_499)
    expect(calls).not.toContain('overtake')
    expect((await after(clock, 450, passing)).result).toBe('mint')
  })

  it('waits for the process that has overtaken the holder', async () => {
    const { clock, state, pass, types } = setUp({ medianMs: 1_000 })
    const passing = pass()
    await clock.advance(4_000)
    state.stored = minted('theirs')
    expect((await after(clock, 450, passing)).result).toBe(state.stored)
    expect(types()).toEqual(['lease-wait'])
  })

  it('lets it pass two medians later, whatever the leases say', async () => {
    const { clock, pass, types, calls } = setUp({ medianMs: 1_125 })
    const passing = pass()
    await clock.advance(1_500 + 1_125)
    const { length } = calls
    expect(await after(clock, 2 * 1_125, passing)).toEqual({ result: 'mint', atMs: 1_500 + 3 * 1_125 })
    expect(types()).toEqual(['lease-wait', 'lease-timeout'])
    // Meanwhile, it polls as seldom as before.
    expect(calls.slice(length).filter(call => call === 'overtake')).toHaveLength((2 * 1_125) / 450)
  })

  it('gives the process that has overtaken the holder 1.5 s even if mints are fast', async () => {
    const { clock, pass } = setUp({ medianMs: 1 })
    expect((await after(clock, 5_000, pass())).atMs).toBeGreaterThanOrEqual(3_001)
  })

  describe('with a caller that waits for a short time', () => {
    it.each([
      { medianMs: undefined, waitMs: 400, atMs: 200 },
      { medianMs: undefined, waitMs: 11_499, atMs: 6_499 },
      { medianMs: undefined, waitMs: 11_500, atMs: 6_500 },
      { medianMs: undefined, waitMs: 12_000, atMs: 7_000 },
      { medianMs: 10, waitMs: 1_000, atMs: 750 },
      { medianMs: 10, waitMs: 400, atMs: 200 },
      { medianMs: 300, waitMs: 1_000, atMs: 400 },
      { medianMs: 3_000, waitMs: 1_000, atMs: 0 },
    ])('lets it pass in time: $waitMs ms, and a mint takes $medianMs ms', async ({ medianMs, waitMs, atMs }) => {
      const { clock, pass, calls } = setUp({ medianMs, waitMs })
      expect(await after(clock, waitMs, pass())).toEqual({ result: 'mint', atMs })
      // Only a wait of the full time shows that waiting is of no use.
      expect(calls.filter(call => call.startsWith('fruit'))).toEqual(atMs >= 5_000 + 1_500 ? ['fruitless'] : [])
    })

    it('that joins while the gate sleeps, lets it pass in time', async () => {
      const { clock, flight, pass } = setUp({ medianMs: 10 })
      const passing = pass()
      await clock.advance(1_000)
      flight.neededAt = 1_200
      flight.onJoin?.()
      expect(await after(clock, 200, passing)).toEqual({ result: 'mint', atMs: 1_000 })
    })

    it('that joins while the gate asks for the lease, lets it pass in time', async () => {
      const { clock, flight, pass } = setUp({ medianMs: 10 })
      const passing = pass()
      flight.neededAt = 30
      expect(await after(clock, 30, passing)).toEqual({ result: 'mint', atMs: 10 })
    })
  })

  it('lets it pass before the deadline of a refresh that a call with more time has joined', async () => {
    const { clock, pass } = setUp({ waitMs: 15_000, deadlineMs: 2_000, medianMs: 100 })
    expect(await after(clock, 2_000, pass())).toEqual({ result: 'mint', atMs: 1_750 })
  })

  it('is not asked a second time because of each call that joins', async () => {
    const { clock, flight, pass, calls } = setUp({ medianMs: 10 })
    void pass()
    await clock.advance(500)
    const { length } = calls
    for (let call = 0; call < 100; call++) flight.onJoin?.()
    await clock.advance(0)
    expect(calls).toHaveLength(length)
  })

  it('stops at the deadline', async () => {
    const { clock, flight, pass } = setUp()
    const passing = pass()
    passing.catch(() => undefined)
    await clock.advance(500)
    flight.deadline.cancel(new Error('closed'))
    await expect(passing).rejects.toThrow('closed')
    expect(clock.sleepers).toBe(0)
  })

  it('lets it pass without a lease if it must mint', async () => {
    const { flight, pass, calls } = setUp()
    flight.mustMint = true
    expect(await pass()).toEqual({ result: 'mint', atMs: 0 })
    expect(calls).toEqual([])
  })

  it('lets it pass at once when a reload joins while it sleeps', async () => {
    const { clock, flight, pass } = setUp()
    const passing = pass()
    await clock.advance(600)
    flight.mustMint = true
    flight.onJoin?.()
    expect(await after(clock, 0, passing)).toEqual({ result: 'mint', atMs: 600 })
  })

  it('postpones a refresh that no call waits for', async () => {
    const { state, pass, gate, types, clock } = setUp({ isAwaited: false })
    state.cached = minted('old')
    expect(await pass()).toEqual({ result: state.cached, atMs: 0 })
    expect(gate.isFound(state.cached)).toBe(true)
    expect(types()).toEqual([])
    // The deadline.
    expect(clock.sleepers).toBe(1)
  })

  it('polls for a refresh whose token has been removed meanwhile', async () => {
    const { clock, pass, calls } = setUp({ isAwaited: false, medianMs: 10 })
    void pass()
    await clock.advance(1_000)
    expect(calls.filter(call => call === 'postpone')).toHaveLength(3)
  })

  it('releases the lease at the end', () => {
    const { gate, calls } = setUp()
    gate.end()
    expect(calls).toEqual(['release'])
  })
})
