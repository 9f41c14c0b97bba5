import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Fleet, type Policy } from './simulation/fleet.js'
import { failingShare, healthy, ok } from './simulation/gateways.js'
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
  /** Whether one process dies when it has just sent its requests. */
  readonly dies?: boolean
}

/** When the users call who are measured. */
const START_MS = 10_000

async function run(policy: Policy, scenario: Scenario): Promise<Measured> {
  const { gateway, processes = 16, users = 25, isWarm = true, maxConnections = 400 } = scenario
  const fleet = new Fleet({ policy, processes, gateway, maxConnections })
  if (isWarm) fleet.processes.forEach((process, i) => fleet.clock.at(0, () => void process.call(`warm ${i}`)))
  await fleet.clock.run(START_MS - 1)
  fleet.restart()
  if (scenario.isHostile) fleet.store.foreignHolder = 'another'
  fleet.call(users, { atMs: START_MS })
  if (scenario.dies) fleet.clock.at(START_MS + 25, () => fleet.processes.slice(0, 12).forEach(each => (each.isDead = true)))
  await fleet.clock.run(START_MS + 40_000)
  const living = fleet.processes.filter(({ isDead }) => !isDead)
  expect(living.every(({ isIdle }) => isIdle)).toBe(true)
  if (!scenario.isHostile) expect(fleet.store.leases).toEqual([])
  return { perUser: fleet.sent / users, longestMs: Math.round(fleet.longestMs), failed: fleet.failed }
}

const becomesSlow: SimulatedGateway = ({ atMs, random }) => ok(atMs < START_MS ? 50 : 3_000, random)
const scenarios = {
  'a gateway of 50 ms, 4 processes': { gateway: healthy(50), processes: 4 },
  'a gateway of 50 ms, 16 processes': { gateway: healthy(50) },
  'a gateway of 3 s': { gateway: healthy(3_000) },
  'a gateway of 3 s, not known yet': { gateway: healthy(3_000), isWarm: false },
  'a gateway that becomes slow': { gateway: becomesSlow },
  'a gateway of which 30 % fail': { gateway: failingShare(0.3) },
  'processes that die': { gateway: healthy(50), dies: true },
  'foreign leases': { gateway: healthy(50), isHostile: true },
  'more users than connections': { gateway: healthy(500), processes: 4, users: 120, maxConnections: 5 },
} satisfies Record<string, Scenario>
const policies = ['today', 'all overtake'] as const

it('prints', async () => {
  for (const [name, scenario] of Object.entries(scenarios)) {
    const cells: string[] = []
    for (const policy of policies) {
      const { perUser, longestMs, failed } = await run(policy, scenario)
      cells.push(`${policy}: ${perUser.toFixed(2)} ${longestMs} ${failed}`)
    }
    process.stderr.write(`${name} | ${cells.join(' | ')}\n`)
  }
}, 300_000)
