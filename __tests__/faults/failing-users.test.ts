import { describe, expect, it } from '@jest/globals'
import { SEED } from '../support/random.js'
import { badFor, HANGS } from './simulation/gateways.js'
import { reportOf } from './simulation/report.js'
import { Simulation, type Treatment } from './simulation/simulation.js'

const SECOND_MS = 1_000
const isGood = (identity: string): boolean => !identity.startsWith('guest')

/** Returns the share of good users who are served, next to ten times as many users whose mints fail. */
async function shareServed(treatment: Treatment, seed: number): Promise<number> {
  const simulation = new Simulation(
    badFor(identity => !isGood(identity), treatment),
    seed,
  )
  simulation.newUsers(1, { untilMs: 60 * SECOND_MS })
  simulation.newUsers(10, { untilMs: 60 * SECOND_MS, name: 'guest' })
  await simulation.clock.run(80 * SECOND_MS)
  return reportOf(simulation, isGood).served
}

describe('ten new end users a second whose mints fail, next to one good user a second', () => {
  it.each<[string, number, number, Treatment]>([
    ['500', 0.85, 30, { status: 500, latencyMs: 20 }],
    ['429, Retry-After 30 s', 1, 20, { status: 429, latencyMs: 20, retryAfterMs: 30 * SECOND_MS }],
    ['a hang', 0.75, 30, HANGS],
  ])(
    'with %s: a share of at least %d of the good users is served in the median of %d runs',
    async (_, least, runs, treatment) => {
      const { stackTraceLimit } = Error
      Error.stackTraceLimit = 0
      try {
        const shares: number[] = []
        for (let i = 0; i < runs; i++) shares.push(await shareServed(treatment, SEED + i))
        const median = shares.sort((a, b) => a - b)[runs / 2]
        expect(median).toBeGreaterThanOrEqual(least)
      } finally {
        Error.stackTraceLimit = stackTraceLimit
      }
    },
    // At the end of a whole run, a worker takes six times as long.
    120_000,
  )
})
