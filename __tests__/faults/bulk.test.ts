import { describe, expect, it } from '@jest/globals'
import { SEED } from '../support/random.js'
import { listOf, SHAPES, startBulk } from './simulation/bulk.js'
import { badFor, downBetween, failingShare, HANGS, healthy, tokenBucket } from './simulation/gateways.js'
import { Simulation, type SimulatedGateway, type Treatment } from './simulation/simulation.js'

const SECOND_MS = 1_000

describe('a batch at a gateway with a token bucket of 100 a second', () => {
  it.each([
    ['a 429 without a hint', 1, undefined],
    ['a 429 without a hint, and a reserve of 100', 100, undefined],
    ['Retry-After: 1', 1, SECOND_MS],
    ['Retry-After: 1, and a reserve of 100', 100, SECOND_MS],
  ])('gets 85 tokens a second with less than 2 %% refused: %s', async (_, capacity, retryAfterMs) => {
    const bucket = tokenBucket(100, { capacity, retryAfterMs })
    const simulation = new Simulation(bucket.gateway, SEED)
    const run = startBulk(simulation, listOf(5_000))
    await simulation.clock.run(20 * SECOND_MS)
    expect(run.results.length / 20).toBeGreaterThan(85)
    expect(bucket.refused() / simulation.sent).toBeLessThan(0.02)
    run.stop()
  })
})

describe('identities whose mints always fail', () => {
  const isBad = (identity: string): boolean => identity.startsWith('bad')
  const TROUBLES: readonly [string, Treatment, readonly number[]][] = [
    ['a 500', { status: 500, latencyMs: 20 }, [3, 30, 100]],
    ['a hang', HANGS, [1, 3]],
    ['a 429 with Retry-After: 30', { status: 429, latencyMs: 5, retryAfterMs: 30 * SECOND_MS }, [1, 3]],
  ]

  it.each(
    TROUBLES.flatMap(([name, treatment, numbers]) =>
      numbers.flatMap(bad => SHAPES.map(([shape, isBadAt]) => [name, bad, shape, treatment, isBadAt] as const)),
    ),
  )('hold up none of 300: %s, for %i of them, %s in the list', async (_, bad, __, treatment, isBadAt) => {
    const simulation = new Simulation(badFor(isBad, treatment, 50), SEED)
    const run = startBulk(
      simulation,
      listOf(300, i => isBadAt(i, bad)),
    )
    await simulation.clock.run(10 * SECOND_MS)
    const good = run.results.filter(({ identity }) => !isBad(identity))
    expect(good.filter(({ outcome }) => outcome === 'token')).toHaveLength(300 - bad)
    await simulation.clock.run(300 * SECOND_MS)
    expect(run.results).toHaveLength(300)
    expect(run.results.filter(({ outcome }) => outcome !== 'token')).toHaveLength(bad)
    expect(run.endedMs).toBeDefined()
  })
})

describe('a batch', () => {
  it.each<[string, number, SimulatedGateway]>([
    ['fails half of all requests', 60, failingShare(0.5)],
    ['is down for a minute', 90, downBetween(2_000, 62_000, { status: 503, latencyMs: 20 })],
    ['hangs for a minute', 120, downBetween(2_000, 62_000, HANGS)],
  ])('gets every token of a gateway that %s', async (_, seconds, gateway) => {
    const simulation = new Simulation(gateway, SEED)
    const run = startBulk(simulation, listOf(3_000))
    await simulation.clock.run(seconds * SECOND_MS)
    expect(run.results).toHaveLength(3_000)
    expect(run.results.filter(({ outcome }) => outcome !== 'token').length).toBeLessThanOrEqual(3)
  })

  it('never makes a caller of the same client wait', async () => {
    const simulation = new Simulation(healthy(50), SEED)
    const run = startBulk(simulation, listOf(5_000))
    simulation.newUsers(20, { untilMs: 4 * SECOND_MS, name: 'caller' })
    await simulation.clock.run(10 * SECOND_MS)
    expect(run.results).toHaveLength(5_000)
    expect(simulation.outcomes.length).toBeGreaterThan(40)
    // A response takes 45 to 55 ms.
    expect(Math.max(...simulation.outcomes.map(({ startedMs, endedMs }) => endedMs - startedMs))).toBeLessThan(56)
  })

  it('has more mints in flight when the gateway is slow', async () => {
    const simulation = new Simulation(healthy(400), SEED)
    const run = startBulk(simulation, listOf(20_000))
    await simulation.clock.run(20 * SECOND_MS)
    run.stop()
    expect(simulation.minter.concurrencyLimit).toBeGreaterThan(150)
  })
})
