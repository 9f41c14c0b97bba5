import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { callAfter, systemClock, type Clock } from '../../../lib/core/clock.js'
import { FakeClock } from '../../../lib/testing/fake-clock.js'

beforeEach(() => {
  jest.useFakeTimers()
})

afterEach(() => {
  jest.useRealTimers()
})

describe.each([
  {
    name: "the machine's own clock",
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
  it('calls once, when the time has come', async () => {
    const [clock, pass] = make()
    const task = jest.fn()
    callAfter(clock, 1_000, task)
    await pass(999)
    expect(task).not.toHaveBeenCalled()
    await pass(1)
    await pass(10_000)
    expect(task).toHaveBeenCalledTimes(1)
  })

  it('calls nothing once it is stopped', async () => {
    const [clock, pass] = make()
    const task = jest.fn()
    const stop = callAfter(clock, 1_000, task)
    await pass(999)
    stop()
    await pass(10_000)
    expect(task).not.toHaveBeenCalled()
  })
})
