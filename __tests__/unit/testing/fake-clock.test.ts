import { describe, expect, it } from '@jest/globals'
import { FakeClock } from '../../../lib/testing/index.js'

describe('FakeClock', () => {
  it('starts at 2030 or at the given time', () => {
    expect(new FakeClock().now()).toBe(Date.UTC(2030, 0, 1))
    expect(new FakeClock(42).now()).toBe(42)
    expect(new FakeClock('2031-02-03T04:05:06Z').now()).toBe(Date.UTC(2031, 1, 3, 4, 5, 6))
  })

  it('advances both clocks, and only when advance is called', async () => {
    const clock = new FakeClock(0)
    expect([clock.now(), clock.monotonic()]).toEqual([0, 0])
    await clock.advance(1_500)
    expect([clock.now(), clock.monotonic()]).toEqual([1_500, 1_500])
  })

  it('wakes each sleeper at its own time, including one that starts to sleep meanwhile', async () => {
    const clock = new FakeClock(0)
    const woken: [string, number][] = []
    const sleep = async (name: string, ms: number): Promise<void> => {
      await clock.sleep(ms)
      woken.push([name, clock.monotonic()])
    }
    const all = [sleep('b', 20), sleep('a', 10).then(() => sleep('again', 15)), sleep('late', 101)]
    expect(clock.sleepers).toBe(3)
    await clock.advance(100)
    expect(woken).toEqual([
      ['a', 10],
      ['b', 20],
      ['again', 25],
    ])
    expect(clock.sleepers).toBe(1)
    await clock.advance(1)
    await Promise.all(all)
  })

  it('wakes a sleeper whose signal aborts', async () => {
    const clock = new FakeClock()
    const control = new AbortController()
    const sleep = clock.sleep(1_000, control.signal)
    control.abort()
    await sleep
    await clock.sleep(1_000, control.signal)
    expect(clock.sleepers).toBe(0)
  })

  it('sets the wall clock back and forward without changing the monotonic clock', async () => {
    const clock = new FakeClock(10_000)
    await clock.advance(500)
    clock.setWall(0)
    expect([clock.now(), clock.monotonic()]).toEqual([0, 500])
    clock.setWall('2030-01-01T00:00:00Z')
    expect([clock.now(), clock.monotonic()]).toEqual([Date.UTC(2030, 0, 1), 500])
  })

  it('advances only the wall clock while the machine is suspended, and wakes no sleeper', async () => {
    const clock = new FakeClock(0)
    void clock.sleep(100)
    clock.suspend(1_000)
    await clock.advance(99)
    expect([clock.now(), clock.monotonic(), clock.sleepers]).toEqual([1_099, 99, 1])
  })

  it.each([-1, NaN, Infinity])('does not advance by %d ms', async ms => {
    const clock = new FakeClock(0)
    await expect(clock.advance(ms)).rejects.toThrow(RangeError)
    expect(() => clock.suspend(ms)).toThrow(RangeError)
    expect(clock.now()).toBe(0)
  })

  it.each(['tomorrow', NaN])('does not start at %p', time => {
    expect(() => new FakeClock(time)).toThrow(RangeError)
    expect(() => new FakeClock().setWall(time)).toThrow(RangeError)
  })
})
