import { describe, expect, it } from '@jest/globals'
import { MintPace } from '../../../lib/batch/mint-pace.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { seededRandom } from '../../support/random.js'

/** Mints for `ms` at a gateway that responds at once. Returns the mints a second and the share told 429. */
async function run(
  { pace, clock }: { readonly pace: MintPace; readonly clock: FakeClock },
  ms: number,
  accepts: () => boolean,
  lateMs = (): number => 0,
): Promise<{ rate: number; limited: number }> {
  const endsAt = clock.monotonic() + ms
  let [successes, refusals] = [0, 0]
  while (clock.monotonic() < endsAt) {
    await clock.advance(Math.max(0.01, pace.delayMs()) + lateMs())
    if (pace.delayMs() > 0) continue
    const mint = pace.start()
    if (accepts()) {
      successes++
      continue
    }
    refusals++
    pace.recordRefusal(mint)
  }
  return { rate: (successes * 1_000) / ms, limited: refusals / (successes + refusals) }
}

function setUp() {
  const clock = new FakeClock()
  const pace = new MintPace({ clock, hasCallers: () => false })
  return { clock, pace, run: (ms: number, accepts: () => boolean) => run({ pace, clock }, ms, accepts) }
}

/** Accepts so many mints a second, without a reserve. */
function limitOf(perSecond: () => number, clock: FakeClock): () => boolean {
  let [tokens, at] = [1, 0]
  return () => {
    tokens = Math.min(1, tokens + ((clock.monotonic() - at) * perSecond()) / 1_000)
    at = clock.monotonic()
    if (tokens < 1) return false
    tokens--
    return true
  }
}

describe('the pace of a batch', () => {
  it('starts at 300 a second, and doubles each half second without a 429', async () => {
    const { run } = setUp()
    const { rate } = await run(500, () => true)
    expect(rate).toBeGreaterThan(380)
    expect(rate).toBeLessThan(480)
    expect((await run(500, () => true)).rate).toBeGreaterThan(1.8 * rate)
  })

  it('does not grow while it is not used', async () => {
    const { pace, clock, run } = setUp()
    await run(
      10_000,
      limitOf(() => 100, clock),
    )
    await clock.advance(600_000)
    expect(
      (
        await run(
          1_000,
          limitOf(() => 100, clock),
        )
      ).limited,
    ).toBeLessThan(0.05)
    pace.start()
    expect(pace.delayMs()).toBeGreaterThan(5)
  })

  it('falls after a 429, however long there was none', async () => {
    const { run, clock } = setUp()
    await run(6_000, () => true)
    const accepts = limitOf(() => 100, clock)
    await run(5_000, accepts)
    expect((await run(10_000, accepts)).limited).toBeLessThan(0.05)
  })

  it('finds the rate of the gateway, and is seldom told 429', async () => {
    const { run, clock } = setUp()
    const accepts = limitOf(() => 100, clock)
    await run(5_000, accepts)
    const { rate, limited } = await run(20_000, accepts)
    expect(rate).toBeGreaterThan(90)
    expect(limited).toBeLessThan(0.02)
  })

  it('follows a rate that falls and rises', async () => {
    const { run, clock } = setUp()
    let perSecond = 200
    const accepts = limitOf(() => perSecond, clock)
    await run(10_000, accepts)
    perSecond = 20
    await run(5_000, accepts)
    expect((await run(10_000, accepts)).limited).toBeLessThan(0.05)
    perSecond = 200
    await run(30_000, accepts)
    expect((await run(10_000, accepts)).rate).toBeGreaterThan(150)
  })

  it('finds it without a reserve too, although timers are late', async () => {
    for (let seed = 0; seed < 10; seed++) {
      const { pace, clock } = setUp()
      const random = seededRandom(seed)
      const accepts = limitOf(() => 100, clock)
      const { rate, limited } = await run({ pace, clock }, 15_000, accepts, () => 8 * random() ** 4)
      expect(rate).toBeGreaterThan(60)
      expect(limited).toBeLessThan(0.05)
    }
  })

  it('ignores no limit for long, although some identities always get a 429', async () => {
    for (let seed = 0; seed < 10; seed++) {
      const { pace, clock } = setUp()
      const random = seededRandom(seed)
      const hasCapacity = limitOf(() => 100, clock)
      const accepts = (): boolean => random() > 0.05 && hasCapacity()
      expect((await run({ pace, clock }, 15_000, accepts)).limited).toBeLessThan(0.35)
    }
  })

  it('does not fall for long if one identity in five always gets a 429', async () => {
    const { run } = setUp()
    let i = 0
    const { rate } = await run(20_000, () => ++i % 5 !== 0)
    expect(rate).toBeGreaterThan(100)
  })

  it.each([
    ['leaves a part of the event loop to callers', true, 800, 950],
    ['uses all of the event loop if there are no callers', false, 1_100, Infinity],
  ])('%s', async (_, hasCallers, least, most) => {
    // Each mint takes 1 ms of the event loop, so 1,000 a second would fill it.
    let busyMs = 0
    const clock = Object.assign(new FakeClock(), { busyMs: () => busyMs })
    const mint = { pace: new MintPace({ clock, hasCallers: () => hasCallers }), clock }
    const takesTime = (): boolean => {
      busyMs++
      return true
    }
    await run(mint, 2_000, takesTime)
    const { rate } = await run(mint, 2_000, takesTime)
    expect(rate).toBeGreaterThan(least)
    expect(rate).toBeLessThan(most)
  })

  it('does not stop if something else keeps the event loop busy', async () => {
    const clock = new FakeClock()
    const busy = Object.assign(clock, { busyMs: () => clock.monotonic() })
    const pace = new MintPace({ clock: busy, hasCallers: () => true })
    const { rate } = await run({ pace, clock }, 10_000, () => true)
    expect(rate).toBeGreaterThan(250)
  })

  it('says nothing about mints that were sent before it changed', async () => {
    const { pace, clock } = setUp()
    const first = pace.start()
    const others = [pace.start(), pace.start(), pace.start()]
    await clock.advance(10)
    pace.recordRefusal(first)
    const delayMs = pace.delayMs()
    for (const other of others) pace.recordRefusal(other)
    expect(pace.delayMs()).toBe(delayMs)
  })
})
