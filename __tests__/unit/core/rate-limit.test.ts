import { describe, expect, it } from '@jest/globals'
import { RateLimit } from '../../../lib/core/rate-limit.js'
import { FakeClock } from '../../../lib/testing/index.js'

function setUp(perSecond = 10) {
  const clock = new FakeClock()
  const limit = new RateLimit(clock, perSecond)
  /** How many single units can be spent now. */
  const spendAll = (): number => {
    let spent = 0
    while (limit.spend(1)) spent++
    return spent
  }
  return { clock, limit, spendAll }
}

describe('a rate limit', () => {
  it('allows the units of two seconds at once', () => {
    expect(setUp().spendAll()).toBe(20)
  })

  it('allows as many units a second as it earns', async () => {
    const { clock, spendAll } = setUp()
    spendAll()
    for (let second = 0; second < 5; second++) {
      await clock.advance(1_000)
      expect(spendAll()).toBe(10)
    }
  })

  it('earns parts of a unit', async () => {
    const { clock, limit, spendAll } = setUp()
    spendAll()
    await clock.advance(50)
    expect(limit.spend(1)).toBe(false)
    await clock.advance(50)
    expect(limit.spend(1)).toBe(true)
  })

  it('saves no more than the units of two seconds', async () => {
    const { clock, spendAll } = setUp()
    await clock.advance(3_600_000)
    expect(spendAll()).toBe(20)
  })

  it('spends nothing if too few units are left', () => {
    const { limit, spendAll } = setUp()
    expect(limit.spend(15)).toBe(true)
    expect(limit.spend(6)).toBe(false)
    expect(spendAll()).toBe(5)
  })

  it('earns nothing when the wall clock is set', () => {
    const { clock, spendAll } = setUp()
    spendAll()
    clock.setWall('2040-01-01T00:00:00Z')
    expect(spendAll()).toBe(0)
  })
})
