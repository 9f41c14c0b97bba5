import { describe, expect, it } from '@jest/globals'
import { Drain } from '../../../lib/core/drain.js'
import { FakeClock } from '../../../lib/testing/index.js'

const activeTimers = (): number => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length

function setUp() {
  const clock = new FakeClock()
  let finish: () => void = () => undefined
  const idle = new Promise<void>(resolve => (finish = resolve))
  const drain = new Drain(clock, idle)
  /** Returns the time at which the wait ends; undefined until then. */
  const waitFor = (ms: number): (() => number | undefined) => {
    let endedAt: number | undefined
    void drain.wait(ms).then(() => (endedAt = clock.monotonic()))
    return () => endedAt
  }
  return { clock, finish, drain, waitFor }
}

describe('a drain', () => {
  it('ends when all work has ended', async () => {
    const { clock, finish, waitFor } = setUp()
    const endedAt = waitFor(1_000)
    await clock.advance(300)
    expect(endedAt()).toBeUndefined()
    finish()
    await clock.advance(0)
    expect(endedAt()).toBe(300)
    expect(clock.sleepers).toBe(0)
  })

  it.each([
    [1_000, 400],
    [400, 1_000],
  ])('ends after the shorter of two times: %d ms and %d ms', async (first, second) => {
    const { clock, waitFor } = setUp()
    const ends = [waitFor(first), waitFor(second)]
    await clock.advance(400)
    expect(ends.map(endedAt => endedAt())).toEqual([400, 400])
    expect(clock.sleepers).toBe(0)
  })

  it('can be ended', async () => {
    const { clock, drain, waitFor } = setUp()
    const endedAt = waitFor(1_000)
    drain.end()
    await clock.advance(0)
    expect(endedAt()).toBe(0)
  })

  it('keeps the process alive until its end', async () => {
    const before = activeTimers()
    const { clock, finish, waitFor } = setUp()
    waitFor(1_000)
    expect(activeTimers()).toBe(before + 1)
    finish()
    await clock.advance(0)
    expect(activeTimers()).toBe(before)
  })
})
