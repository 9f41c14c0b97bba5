import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { getEventListeners } from 'node:events'
import { busyMs, callAfter, systemClock, type Clock } from '../../../lib/core/clock.js'
import { FakeClock } from '../../../lib/testing/fake-clock.js'

describe.each([
  {
    name: 'the system clock',
    make: (): [Clock, (ms: number) => Promise<unknown>] => [systemClock, ms => jest.advanceTimersByTimeAsync(ms)],
  },
  {
    name: 'an injected clock',
    make: (): [Clock, (ms: number) => Promise<unknown>] => {
      jest.useRealTimers()
      const clock = new FakeClock()
      return [clock, ms => clock.advance(ms)]
    },
  },
])('callAfter on $name', ({ make }) => {
  beforeEach(() => {
    jest.useFakeTimers()
  })

  afterEach(() => {
    jest.useRealTimers()
  })

  it('calls the function once, after the given time', async () => {
    const [clock, pass] = make()
    const task = jest.fn()
    callAfter(clock, 1_000, task)
    await pass(999)
    expect(task).not.toHaveBeenCalled()
    await pass(1)
    await pass(10_000)
    expect(task).toHaveBeenCalledTimes(1)
  })

  it('does not call the function after it is stopped', async () => {
    const [clock, pass] = make()
    const task = jest.fn()
    const stop = callAfter(clock, 1_000, task)
    await pass(999)
    stop()
    await pass(10_000)
    expect(task).not.toHaveBeenCalled()
  })
})

describe('systemClock', () => {
  it('has a wall clock and a monotonic clock', () => {
    expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1_000)
    const first = systemClock.monotonic()
    expect(systemClock.monotonic()).toBeGreaterThanOrEqual(first)
  })

  it('ends a sleep immediately when its signal aborts, and leaves no listener', async () => {
    const control = new AbortController()
    const sleep = systemClock.sleep(2 ** 31 - 1, control.signal)
    expect(getEventListeners(control.signal, 'abort')).toHaveLength(1)
    control.abort()
    await sleep
    expect(getEventListeners(control.signal, 'abort')).toHaveLength(0)
    await systemClock.sleep(2 ** 31 - 1, control.signal)
  })

  it('ends a sleep after the given time', async () => {
    jest.useFakeTimers()
    try {
      const sleep = systemClock.sleep(1)
      await jest.advanceTimersByTimeAsync(1)
      await expect(sleep).resolves.toBeUndefined()
    } finally {
      jest.useRealTimers()
    }
  })
})

describe('busyMs', () => {
  it('counts the time until this process returns to its event loop', async () => {
    // In its first turn, an event loop has no times.
    await new Promise(resolve => setImmediate(resolve))
    const before = busyMs(systemClock)
    const startedAt = performance.now()
    while (performance.now() - startedAt < 20);
    expect(busyMs(systemClock) - before).toBeGreaterThanOrEqual(20)
  })

  it('is 0 with another clock', () => {
    expect(busyMs(new FakeClock())).toBe(0)
  })
})
