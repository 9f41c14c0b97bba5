import { describe, expect, it } from '@jest/globals'
import { isBefore, later, remainingMs, untilMs } from '../../../lib/core/instant.js'

const start = { wall: 1_000_000, monotonic: 500 }

describe('instants on two clocks', () => {
  it('are reached when either clock reaches them', () => {
    const end = later(start, 1_000)
    expect(untilMs(end, start)).toBe(1_000)
    // The monotonic clock stops while the machine sleeps.
    expect(untilMs(end, { wall: start.wall + 5_000, monotonic: start.monotonic })).toBe(-4_000)
    // The wall clock has been set back.
    expect(untilMs(end, { wall: 0, monotonic: start.monotonic + 1_500 })).toBe(-500)
  })

  it('are before another instant only if they are earlier on both clocks', () => {
    const end = later(start, 1_000)
    expect(isBefore(start, end)).toBe(true)
    expect(isBefore({ ...end, wall: 0 }, end)).toBe(false)
    expect(isBefore({ ...end, monotonic: 0 }, end)).toBe(false)
  })

  it('leave a remaining lifetime equal to the shorter one of both clocks', () => {
    const lifetime = { start, ms: 60_000 }
    expect(remainingMs(lifetime, { wall: start.wall + 10_000, monotonic: start.monotonic + 20_000 })).toBe(40_000)
    expect(remainingMs(lifetime, { wall: start.wall + 70_000, monotonic: start.monotonic })).toBe(-10_000)
  })
})
