import { describe, expect, it } from '@jest/globals'
import { backoffMs } from '../../../lib/core/backoff.js'
import { seededRandom } from '../../support/random.js'

const always =
  (value: number): (() => number) =>
  () =>
    value

describe('backoffMs', () => {
  const backoff = { firstMs: 100, longestMs: 1_000 }

  it('doubles its ceiling after each failure, up to longestMs', () => {
    const ceilings = [0, 1, 2, 3, 4, 5_000].map(failures => backoffMs(failures, { ...backoff, jitter: 0 }, always(0.5)))
    expect(ceilings).toEqual([100, 200, 400, 800, 1_000, 1_000])
  })

  it('is random between 0 and its ceiling', () => {
    const random = seededRandom()
    const waits = Array.from({ length: 1_000 }, () => backoffMs(2, backoff, random))
    expect(Math.min(...waits)).toBeLessThan(10)
    expect(Math.max(...waits)).toBeGreaterThan(390)
    expect(waits.every(wait => wait >= 0 && wait < 400)).toBe(true)
  })

  it('randomizes only the jitter fraction', () => {
    const half = { ...backoff, jitter: 0.5 }
    expect([0, 0.5, 0.999].map(value => backoffMs(1, half, always(value)))).toEqual([100, 150, 199.9])
  })
})
