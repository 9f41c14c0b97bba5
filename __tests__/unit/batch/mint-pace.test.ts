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
})

describe('the rate of a batch', () => {
  function setUp(hasCallers = false) {
    let busyMs = 0
    const clock = Object.assign(new FakeClock(), { busyMs: () => busyMs })
    const pace = new MintPace({ clock, hasCallers: () => hasCallers })
    /** Starts so many mints that succeed, then one that gets a 429. */
    const refuseAfter = (successes: number): void => {
      for (let i = 0; i < successes; i++) pace.start()
      pace.recordRefusal(pace.start())
    }
    return {
      clock,
      pace,
      refuseAfter,
      /** Mints a second, from the distance of two. */
      rate: (): number => {
        while (pace.delayMs() === 0) pace.start()
        const delayMs = pace.delayMs()
        pace.start()
        return 1_000 / (pace.delayMs() - delayMs)
      },
      /** A fall in vain: the rate comes back, and 429s are ignored. */
      fallInVain: (): void => {
        for (let i = 0; i < 14; i++) refuseAfter(9)
      },
      /** Lets time pass in which mints wait for the rate. */
      wait: async (ms: number): Promise<void> => {
        for (const endsAt = clock.monotonic() + ms; clock.monotonic() < endsAt; pace.delayMs()) await clock.advance(20)
      },
      /** Starts so many mints, which keep the event loop busy. */
      keepBusy: async (mints: number, ms: number): Promise<void> => {
        for (let i = 0; i < mints; i++) pace.start()
        busyMs += ms
        await clock.advance(200)
        pace.delayMs()
      },
    }
  }

  it.each([
    ['a half', 0, 150],
    ['the share of successes', 8, 266.7],
    ['19 of 20', 99, 285],
  ])('falls to %s at a 429 after %i successes', (_, successes, expected) => {
    const { refuseAfter, rate } = setUp()
    refuseAfter(successes)
    expect(rate()).toBeCloseTo(expected, 1)
  })

  it('falls once for mints that were sent before it fell', async () => {
    const { clock, pace, rate } = setUp()
    const [first, ...others] = [pace.start(), pace.start(), pace.start()]
    await clock.advance(10)
    for (const mint of [first, ...others]) pace.recordRefusal(mint)
    expect(rate()).toBeCloseTo(150, 1)
  })

  it.each([
    ['is still searched if half of the mints get a 429', 1, 300],
    ['is found when most mints succeed', 2, 202.1],
  ])('%s', async (_, successes, after500Ms) => {
    const { refuseAfter, rate, wait } = setUp()
    refuseAfter(successes)
    await wait(500)
    expect(rate() / after500Ms).toBeCloseTo(1, 1)
  })

  it('comes back if it fell to a quarter, although most mints succeed', () => {
    const { fallInVain, refuseAfter, rate } = setUp()
    for (let i = 0; i < 2; i++) refuseAfter(0)
    fallInVain()
    expect(rate()).toBeCloseTo(75, 1)
  })

  it('stays low and is searched again if it fell to a quarter, and hardly any mint succeeded meanwhile', async () => {
    const { refuseAfter, rate, wait } = setUp()
    // Those before the limit fell say nothing about it.
    for (const successes of [1_000, 0, 0]) refuseAfter(successes)
    expect(rate()).toBeCloseTo(71.3, 1)
    await wait(500)
    expect(rate()).toBeGreaterThan(130)
  })

  it.each([
    ['part of the same fall', 1_000, 300],
    ['the start of another', 1_001, 68.6],
  ])('takes a 429 as %s, %i ms after the one before', async (_, ms, expected) => {
    const { clock, refuseAfter, rate } = setUp()
    await clock.advance(5_000)
    for (let i = 0; i < 13; i++) refuseAfter(9)
    await clock.advance(ms)
    refuseAfter(9)
    expect(rate()).toBeCloseTo(expected, 1)
  })

  it.each([
    ['ignores', 'nine', 9, 9, 300],
    ['ignores', 'half', 20, 10, 300],
    ['follows', 'most', 19, 10, 150],
  ])('%s further 429s after it came back if %s of the mints get one', (_, __, mints, refused, expected) => {
    const { pace, fallInVain, rate } = setUp()
    fallInVain()
    const paced = Array.from({ length: mints }, () => pace.start())
    for (const mint of paced.slice(-refused)) pace.recordRefusal(mint)
    expect(rate()).toBeCloseTo(expected, 1)
  })

  it('ignores them for ten seconds', async () => {
    const { clock, fallInVain, refuseAfter, rate } = setUp()
    fallInVain()
    await clock.advance(9_999)
    const before = rate()
    refuseAfter(9)
    expect(rate()).toBe(before)
    await clock.advance(1)
    refuseAfter(9)
    expect(rate()).toBeLessThan(0.96 * before)
  })

  it.each([
    ['starts another mint at once after a late timer', 8, 0],
    ['does not, if mints are 4 ms apart or more', 5, 4],
  ])('%s', async (_, successes, delayMs) => {
    const { clock, pace, refuseAfter } = setUp()
    refuseAfter(successes)
    await clock.advance(1_000)
    pace.start()
    expect(pace.delayMs()).toBe(delayMs)
  })

  it.each([
    ['falls to what the event loop has time for', 180, 1_888.9],
    ['does not fall while the event loop has time', 170, 10_000],
  ])('%s', async (_, busyMs, expected) => {
    const { wait, keepBusy, rate } = setUp(true)
    await wait(3_000)
    await keepBusy(400, busyMs)
    expect(rate()).toBeCloseTo(expected, 1)
  })

  it('is limited by the event loop from the start', async () => {
    const { keepBusy, rate } = setUp(true)
    await keepBusy(60, 200)
    expect(rate()).toBeCloseTo(300, 1)
  })
})
