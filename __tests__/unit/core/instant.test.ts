import { describe, expect, it } from '@jest/globals'
import { isBefore, later, remainingMs, untilMs } from '../../../lib/core/instant.js'

const start = { wall: 1_000_000, monotonic: 500 }

describe('moments on two clocks', () => {
  it('are reached when either clock says so', () => {
    const end = later(start, 1_000)
    expect(untilMs(end, start)).toBe(1_000)
    // The machine slept: its monotonic clock stood still.
    expect(untilMs(end, { wall: start.wall + 5_000, monotonic: start.monotonic })).toBe(-4_000)
    // The wall clock was set back.
    expect(untilMs(end, { wall: 0, monotonic: start.monotonic + 1_500 })).toBe(-500)
  })

  it('are before another only if both clocks say so', () => {
    const end = later(start, 1_000)
    expect(isBefore(start, end)).toBe(true)
    expect(isBefore({ ...end, wall: 0 }, end)).toBe(false)
    expect(isBefore({ ...end, monotonic: 0 }, end)).toBe(false)
  })

  it('leave of a lifetime what the more pessimistic clock leaves', () => {
    const lifetime = { start, ms: 60_000 }
    expect(remainingMs(lifetime, { wall: start.wall + 10_000, monotonic: start.monotonic + 20_000 })).toBe(40_000)
    expect(remainingMs(lifetime, { wall: start.wall + 70_000, monotonic: start.monotonic })).toBe(-10_000)
  })
})
