import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { badFor, downBetween, failingShare, HANGS, healthy, shareOf, withCapacity } from './simulation/gateways.js'
import { reportOf, type Report } from './simulation/report.js'
import { SEED } from '../support/random.js'
import { Simulation, type SimulatedGateway, type Treatment } from './simulation/simulation.js'

const SECOND_MS = 1_000

/** A run of 20,000 mints takes seconds on a busy machine. */
jest.setTimeout(60_000)
const DOWN: Treatment = { status: 503, latencyMs: 20 }

/** Runs a plan against a gateway, until every call has ended. */
async function run(gateway: SimulatedGateway, plan: (simulation: Simulation) => void, untilMs = 100 * SECOND_MS) {
  const simulation = new Simulation(gateway)
  plan(simulation)
  await simulation.clock.run(untilMs)
  return simulation
}

async function report(...args: Parameters<typeof run>): Promise<Report> {
  return reportOf(await run(...args))
}

// Thousands of calls fail, and half their cost is a stack that is never read.
const { stackTraceLimit } = Error
beforeAll(() => {
  Error.stackTraceLimit = 0
})
afterAll(() => {
  Error.stackTraceLimit = stackTraceLimit
})

describe('a share of all responses is 503', () => {
  it.each([
    [0.1, 50, 0.995, 1.13],
    [0.3, 50, 0.965, 1.43],
    [0.5, 50, 0.86, 1.8],
    [0.1, 400, 0.995, 1.13],
    [0.3, 400, 0.965, 1.43],
    [0.5, 400, 0.86, 1.8],
  ])('%d of them, %d new users a second: the circuit stays closed', async (share, perSecond, served, requests) => {
    const result = await report(failingShare(share), each => each.newUsers(perSecond))
    expect(result.served).toBeGreaterThanOrEqual(served)
    expect(result.requestsPerCall).toBeLessThanOrEqual(requests)
    expect(result.opened).toBe(0)
  })
})

describe('the mints of one user always fail', () => {
  const isVictim = (identity: string): boolean => identity === 'victim'

  it.each<[string, Treatment]>([
    ['429 with Retry-After', { status: 429, latencyMs: 20, retryAfterMs: 30 * SECOND_MS }],
    ['500', { status: 500, latencyMs: 20 }],
    ['409', { status: 409, latencyMs: 20 }],
  ])('with %s: the others are served, and that user fails fast', async (_, treatment) => {
    const simulation = await run(badFor(isVictim, treatment), each => {
      each.newUsers(4)
      for (let atMs = 0; atMs < 20 * SECOND_MS; atMs += 30) each.callAt(atMs, 'victim')
    })
    expect(reportOf(simulation, identity => !isVictim(identity)).served).toBe(1)
    const refused = simulation.outcomes.filter(({ error }) => error?.refusedBy === 'key')
    expect(refused.length).toBeGreaterThan(500)
    for (const { error } of refused) {
      expect(error).toMatchObject({ status: treatment.status, attempts: 0 })
      expect(error?.retryAfterMs).toBeGreaterThan(0)
    }
  })

  it('by hanging: the others are served, and that user fails at the deadline', async () => {
    const simulation = await run(badFor(isVictim, HANGS), each => {
      each.newUsers(4)
      for (let atMs = 0; atMs < 20 * SECOND_MS; atMs += 30) each.callAt(atMs, 'victim')
    })
    expect(reportOf(simulation, identity => !isVictim(identity)).served).toBe(1)
    expect(reportOf(simulation).failMaxMs).toBeLessThanOrEqual(15 * SECOND_MS)
  })
})

describe('the requests of some users hang', () => {
  it.each([
    [0.05, 100],
    [0.2, 50],
  ])('%d of them, %d new users a second: the others do not wait behind them', async (share, perSecond) => {
    const hangs = shareOf(share)
    const simulation = await run(badFor(hangs, HANGS, 50), each =>
      each.newUsers(perSecond, { untilMs: 60 * SECOND_MS }),
    )
    const others = reportOf(simulation, identity => !hangs(identity))
    expect(others.served).toBeGreaterThanOrEqual(0.98)
    expect(others.okP99Ms).toBeLessThan(3 * SECOND_MS)
  })
})

describe('a gateway that is slow', () => {
  const slowBetween = (latencyMs: number) => (atMs: number) =>
    atMs > 10 * SECOND_MS && atMs < 40 * SECOND_MS ? latencyMs : 50

  it.each<[string, SimulatedGateway, number, number]>([
    ['always, 1 s', healthy(1_000), 100, 0.99],
    ['always, 3 s and 60 users a second', healthy(3_000), 60, 0.95],
    ['always, 3 s and 100 users a second', healthy(3_000), 100, 0.95],
    ['for half a minute, 1 s', healthy(slowBetween(1_000)), 100, 0.99],
    ['for half a minute, 3 s', healthy(slowBetween(3_000)), 100, 0.97],
  ])('%s: is not overloaded', async (_, gateway, perSecond, served) => {
    const result = await report(gateway, each => each.newUsers(perSecond, { untilMs: 60 * SECOND_MS }))
    expect(result.served).toBeGreaterThanOrEqual(served)
    expect(result.opened).toBe(0)
  })

  /** Latencies with a mean of 1 s, which vary as those of a network do. */
  const exponential: SimulatedGateway = ({ random }) => ({
    status: 200,
    latencyMs: Math.min(4_900, -1_000 * Math.log(1 - random())),
  })

  it.each([SEED, SEED + 1, SEED + 2])(
    'by 1 s on average, with varying latencies: at least 99 % of the calls are served (seed %d)',
    async seed => {
      const simulation = new Simulation(exponential, seed)
      simulation.newUsers(100, { untilMs: 60 * SECOND_MS })
      await simulation.clock.run(100 * SECOND_MS)
      expect(reportOf(simulation).served).toBeGreaterThanOrEqual(0.99)
      expect(simulation.count('circuit-open')).toBe(0)
    },
  )

  it('by 1 s, with 1,500 users at the same time: all are served', async () => {
    expect(await report(healthy(1_000), each => each.burst(1_500))).toMatchObject({ served: 1, opened: 0 })
  })

  it('by 1 s, with 1,500 background refreshes: 40 new users do not wait for them', async () => {
    const simulation = await run(
      healthy(1_000),
      each => {
        each.lifetimeMs = 100 * SECOND_MS
        each.burst(1_500)
        each.burst(1_500, { atMs: 60 * SECOND_MS })
        each.burst(40, { atMs: 60 * SECOND_MS + 1, name: 'new' })
      },
      100 * SECOND_MS,
    )
    const news = reportOf(simulation, identity => identity.startsWith('new'))
    expect(simulation.count('refresh')).toBe(1_500)
    expect(news.served).toBe(1)
    expect(news.okP99Ms).toBeLessThan(3 * SECOND_MS)
  })
})

describe('a gateway with a limited capacity for concurrent requests', () => {
  /** Measures the successes in the last seconds of an overloaded run, as a share of what the gateway can serve. */
  async function measure(capacity: (atMs: number) => number, perSecond: number, untilMs: number) {
    const simulation = await run(withCapacity(capacity, 100), each => each.newUsers(perSecond, { untilMs }), untilMs)
    const windowMs = 5 * SECOND_MS
    const served = simulation.outcomes.filter(({ error, endedMs }) => !error && endedMs > untilMs - windowMs).length
    return {
      part: served / ((capacity(untilMs) / 100) * windowMs),
      limit: simulation.minter.stats.concurrencyLimit,
      served: reportOf(simulation).served,
    }
  }

  it('60: the limit settles near the capacity', async () => {
    const { limit, part } = await measure(() => 60, 1_200, 14 * SECOND_MS)
    expect(limit).toBeLessThanOrEqual(120)
    expect(part).toBeGreaterThanOrEqual(0.9)
  })

  it('200: the limit reaches the capacity', async () => {
    const { part } = await measure(() => 200, 3_000, 8 * SECOND_MS)
    expect(part).toBeGreaterThanOrEqual(0.9)
  })

  it('180, and then 60: the limit follows the capacity', async () => {
    const { limit, part, served } = await measure(atMs => (atMs < 10 * SECOND_MS ? 180 : 60), 1_200, 24 * SECOND_MS)
    expect(limit).toBeLessThanOrEqual(120)
    expect(part).toBeGreaterThanOrEqual(0.9)
    expect(served).toBeGreaterThanOrEqual(0.99)
  })
})

describe('a gateway that hangs', () => {
  it.each([1_000, 5_000])('%d users at the same time: those who wait fail when the circuit opens', async users => {
    const result = await report(
      () => HANGS,
      each => each.burst(users),
    )
    expect(result.failP99Ms).toBeLessThanOrEqual(5.5 * SECOND_MS)
    expect(result.failMaxMs).toBeLessThanOrEqual(10 * SECOND_MS)
    expect(result.requests).toBeLessThanOrEqual(100)
  })

  it.each<[string, (simulation: Simulation) => void, number]>([
    ['9 users, 5 calls a second', each => each.inTurn(9, 5, 60 * SECOND_MS), 6],
    ['4 users, a call a second', each => each.inTurn(4, 1, 60 * SECOND_MS), 10.5],
    ['a new user every 5 s', each => each.inTurn(1_000, 0.2, 120 * SECOND_MS), 15.5],
  ])(
    'with little traffic (%s): the circuit opens, and later callers wait for at most one attempt',
    async (_, plan, seconds) => {
      const simulation = await run(() => HANGS, plan, 140 * SECOND_MS)
      const { openedAtMs = Infinity, outcomes } = simulation
      expect(openedAtMs).toBeLessThanOrEqual(seconds * SECOND_MS)
      const later = outcomes.filter(({ startedMs }) => startedMs > openedAtMs)
      expect(Math.max(...later.map(({ startedMs, endedMs }) => endedMs - startedMs))).toBeLessThanOrEqual(5 * SECOND_MS)
    },
  )

  it.each([
    ['without a cache', { mode: 'no-store', deadlineMs: 3_000 } as const],
    ['with deadlines shorter than an attempt', { deadlineMs: 3_000 } as const],
  ])('%s: the circuit opens', async (_, call) => {
    const simulation = await run(
      () => HANGS,
      each => {
        for (let i = 0; i < 120; i++) each.callAt(i * 100, `user-${i}`, call)
      },
    )
    expect(simulation.count('circuit-open')).toBe(1)
  })

  it('only for one caller, who has a short deadline: the circuit stays closed', async () => {
    const simulation = await run(healthy(300), each => {
      each.newUsers(5)
      for (let i = 0; i < 200; i++) each.callAt(i * 100, 'short deadline', { mode: 'no-store', deadlineMs: 50 })
    })
    expect(simulation.count('circuit-open')).toBe(0)
    expect(reportOf(simulation, identity => identity !== 'short deadline').served).toBe(1)
  })

  it('makes a caller whose token has 2 s left wait for half of that, and the mint continues', async () => {
    let isHanging = false
    const gateway: SimulatedGateway = call => (isHanging ? HANGS : healthy(20)(call))
    const simulation = await run(gateway, each => {
      each.lifetimeMs = 100 * SECOND_MS
      each.callAt(1, 'user')
      each.clock.at(2, () => (isHanging = true))
      each.callAt(98 * SECOND_MS, 'user')
    })
    const [, second] = simulation.outcomes
    expect(second?.error).toBeUndefined()
    expect((second?.endedMs ?? 0) - (second?.startedMs ?? 0)).toBeLessThanOrEqual(SECOND_MS + 20)
    expect(simulation.cache.inFlight).toBe(1)
  })
})

describe('a gateway that is down', () => {
  it('5,000 users at the same time: few requests are sent', async () => {
    const result = await report(
      () => ({ status: 503, latencyMs: 5 }),
      each => each.burst(5_000),
    )
    expect(result.requests).toBeLessThanOrEqual(150)
  })

  const down = downBetween(10 * SECOND_MS, 30 * SECOND_MS, DOWN)

  it('for 20 s, 100 new users a second: the first is served within 5 s after the outage', async () => {
    const { outcomes } = await run(down, each => each.newUsers(100, { untilMs: 60 * SECOND_MS }))
    const firstMs = Math.min(...outcomes.map(({ endedMs, error }) => (error || endedMs < 30_000 ? Infinity : endedMs)))
    expect(firstMs).toBeLessThanOrEqual(35 * SECOND_MS)
  })

  it.each([
    ['503, and one user only', { status: 503, latencyMs: 20 }, 1],
    ['429 for everyone', { status: 429, latencyMs: 20 }, 200],
  ])('for a minute (%s): no failure is remembered 8 s after the outage', async (_, treatment, users) => {
    const gateway = downBetween(10 * SECOND_MS, 70 * SECOND_MS, treatment)
    const { outcomes } = await run(gateway, each => {
      for (let i = 0; i < 50 * users; i++) each.callAt((i * 2_000) / users, `user-${i % users}`, { mode: 'reload' })
    })
    const lastFailureMs = Math.max(...outcomes.map(({ endedMs, error }) => (error ? endedMs : 0)))
    expect(lastFailureMs).toBeGreaterThan(65 * SECOND_MS)
    expect(lastFailureMs).toBeLessThanOrEqual(78 * SECOND_MS)
  })

  it('for 20 s, 200 users who call again every 2 s: all are served within 8 s after the outage', async () => {
    const { outcomes } = await run(down, ({ clock, cache, random, call }) => {
      const callAgain = (identity: string, atMs: number): void => {
        if (atMs > 60 * SECOND_MS) return
        clock.at(atMs, () => {
          void cache.invalidate({ identity, scopes: [] })
          void call(identity).then(() => callAgain(identity, clock.monotonic() + 2_000 * (0.5 + random())))
        })
      }
      for (let i = 0; i < 200; i++) callAgain(`user-${i}`, 2_000 * random())
    })
    const lastFailureMs = Math.max(...outcomes.map(({ endedMs, error }) => (error ? endedMs : 0)))
    expect(lastFailureMs).toBeGreaterThan(29 * SECOND_MS)
    expect(lastFailureMs).toBeLessThanOrEqual(38 * SECOND_MS)
  })
})
