import { describe, expect, it } from '@jest/globals'
import { Fleet, type Policy } from './simulation/fleet.js'
import { failingShare, HANGS, healthy, ok } from './simulation/gateways.js'
import type { SimulatedGateway } from './simulation/simulation.js'

/** What a fleet did for users that were cold in all its processes. */
interface Measured {
  /** Requests to the gateway, for each user. */
  readonly perUser: number
  readonly longestMs: number
  readonly failed: number
}

interface Scenario {
  readonly gateway: SimulatedGateway
  readonly processes?: number
  readonly users?: number
  readonly maxConnections?: number
  /** Whether each process has minted before, at the usual speed of the gateway. */
  readonly isWarm?: boolean
  /** Whether another has every lease for ever. */
  readonly isHostile?: boolean
  /** Whether half of the processes die when they have just sent their requests. */
  readonly dies?: boolean
}

/** When the users call who are measured. */
const START_MS = 10_000

async function run(policy: Policy, scenario: Scenario): Promise<Measured> {
  const { gateway, processes = 16, users = 10, isWarm = true, maxConnections = 400 } = scenario
  const fleet = new Fleet({ policy, processes, gateway, maxConnections })
  if (isWarm) fleet.processes.forEach((process, i) => fleet.clock.at(0, () => void process.call(`warm ${i}`)))
  await fleet.clock.run(START_MS - 1)
  fleet.restart()
  if (scenario.isHostile) fleet.store.foreignHolder = 'another'
  fleet.call(users, { atMs: START_MS })
  if (scenario.dies) fleet.clock.at(START_MS + 25, () => fleet.die(processes / 2))
  await fleet.clock.run(START_MS + 40_000)
  const living = fleet.processes.filter(({ isDead }) => !isDead)
  expect(living.every(({ isIdle }) => isIdle)).toBe(true)
  if (!scenario.isHostile) expect(fleet.store.leases).toEqual([])
  return { perUser: fleet.sent / users, longestMs: Math.round(fleet.longestMs), failed: fleet.failed }
}

const becomesSlow: SimulatedGateway = ({ atMs, random }) => ok(atMs < START_MS ? 50 : 3_000, random)

/** The first request of each user hangs. */
function firstHangs(latencyMs: number): SimulatedGateway {
  const known = new Set<string>()
  return ({ atMs, identity, random }) => {
    const isFirst = atMs >= START_MS && !known.has(identity)
    known.add(identity)
    return isFirst ? HANGS : ok(latencyMs, random)
  }
}

/** The requests a user, and the longest wait, by policy. */
async function compare(scenario: () => Scenario, policies: readonly Policy[]): Promise<Record<string, Measured>> {
  const measured: Record<string, Measured> = {}
  for (const policy of policies) measured[policy] = await run(policy, scenario())
  return measured
}

describe('a fleet', () => {
  it.each([4, 16])(
    'of %i processes mints a cold user once',
    async processes => {
      const fleet = await compare(() => ({ gateway: healthy(50), processes }), ['today', 'no lease'])
      expect(fleet).toMatchObject({ today: { perUser: 1, failed: 0 }, 'no lease': { perUser: processes } })
      // The mint, the polls, and the store.
      expect(fleet['today']?.longestMs).toBeLessThanOrEqual(200)
    },
    60_000,
  )

  it.each([true, false])(
    'with a gateway of 3 s, known: %s, mints a cold user once',
    async isWarm => {
      const fleet = await compare(() => ({ gateway: healthy(3_000), isWarm }), ['today', 'no lease'])
      expect(fleet).toMatchObject({ today: { perUser: 1, failed: 0 }, 'no lease': { perUser: 16 } })
      expect(fleet['today']?.longestMs).toBeLessThanOrEqual(3_300 + 500)
    },
    60_000,
  )

  it('sends what one process would send if 30 % of responses fail', async () => {
    const fleet = await compare(() => ({ gateway: failingShare(0.3) }), ['today', 'no lease'])
    expect(fleet['today']?.perUser).toBeLessThan(2)
    expect(fleet['no lease']?.perUser).toBeGreaterThan(16)
  }, 60_000)

  it('of which half dies sends each user at most once more, 1.5 s later', async () => {
    const { today } = await compare(() => ({ gateway: healthy(50), dies: true }), ['today'])
    expect(today?.failed).toBe(0)
    expect(today?.perUser).toBeLessThanOrEqual(2)
    expect(today?.longestMs).toBeLessThanOrEqual(1_500 + 60)
  }, 60_000)

  // The first, that of the process that overtakes, and the retry of the first.
  it('in which a request hangs sends two more, thanks to the second lease', async () => {
    const fleet = await compare(() => ({ gateway: firstHangs(300) }), ['today', 'all overtake'])
    expect(fleet).toMatchObject({ today: { perUser: 3, failed: 0 } })
    expect(fleet['all overtake']?.perUser).toBeGreaterThan(6)
  }, 60_000)

  it('of which each process has many users shares them out, because no lease is taken in the queue', async () => {
    const scenario = (): Scenario => ({ gateway: healthy(500), processes: 4, users: 120, maxConnections: 5 })
    const fleet = await compare(scenario, ['today', 'no lease', 'lease while queued'])
    expect(fleet).toMatchObject({ today: { perUser: 1, failed: 0 }, 'no lease': { perUser: 4 } })
    expect(fleet['lease while queued']?.perUser).toBeGreaterThan(1.2)
    expect(fleet['lease while queued']?.longestMs).toBeGreaterThan(1.3 * (fleet['today']?.longestMs ?? 0))
  }, 60_000)

  it('with a gateway that becomes 60 times slower fails no call', async () => {
    const { today } = await compare(() => ({ gateway: becomesSlow }), ['today', 'all overtake'])
    expect(today?.failed).toBe(0)
    expect(today?.perUser).toBeLessThanOrEqual(6)
    expect(today?.longestMs).toBeLessThanOrEqual(1_500 + 1_500 + 2 * 450 + 3_300)
  }, 60_000)

  it('with foreign leases on all users delays each call by a bounded time', async () => {
    const { today } = await compare(() => ({ gateway: healthy(50), isHostile: true }), ['today', 'no lease'])
    expect(today?.failed).toBe(0)
    expect(today?.longestMs).toBeLessThanOrEqual(1_500 + 1_500 + 2 * 450 + 60)
  }, 60_000)
})
