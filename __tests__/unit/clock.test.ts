import { describe, expect, it } from '@jest/globals'
import { getEventListeners } from 'node:events'
import { Deadline, systemClock, untilAborted } from '../../lib/clock.js'
import { FakeClock } from '../../lib/testing/index.js'
import { reasonOf } from '../support/failure.js'

const late = (): Error => new Error('late')

describe('Deadline', () => {
  it('aborts with its reason when the time is up, and not before', async () => {
    const clock = new FakeClock()
    const deadline = new Deadline(clock, 1_000, late)
    await clock.advance(999)
    expect([deadline.signal.aborted, deadline.remainingMs()]).toEqual([false, 1])
    await clock.advance(1)
    expect(deadline.signal.reason).toEqual(late())
    expect(deadline.remainingMs()).toBe(0)
  })

  it('watches the time no longer once it is cleared', async () => {
    const clock = new FakeClock()
    const deadline = new Deadline(clock, 1_000, late)
    deadline.clear()
    expect(clock.sleepers).toBe(0)
    await clock.advance(2_000)
    expect(deadline.signal.aborted).toBe(false)
  })

  it('can be cancelled, with another reason', async () => {
    const clock = new FakeClock()
    const deadline = new Deadline(clock, 1_000, late)
    deadline.cancel('closed')
    await clock.advance(2_000)
    expect(deadline.signal.reason).toBe('closed')
  })

  it('goes by the monotonic clock: setting the wall clock moves it not', async () => {
    const clock = new FakeClock()
    const deadline = new Deadline(clock, 1_000, late)
    clock.setWall(clock.now() + 3_600_000)
    await clock.advance(999)
    expect(deadline.remainingMs()).toBe(1)
  })
})

describe('untilAborted', () => {
  it('settles as the promise does, and leaves no listener', async () => {
    const { signal } = new AbortController()
    expect(await untilAborted(Promise.resolve('done'), signal)).toBe('done')
    expect(await reasonOf(untilAborted(Promise.reject(late()), signal))).toEqual(late())
    await Promise.resolve()
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  it('rejects with the reason of the abort, before or meanwhile', async () => {
    const control = new AbortController()
    const waiting = reasonOf(untilAborted(new Promise(() => undefined), control.signal))
    control.abort('gone')
    expect(await waiting).toBe('gone')
    expect(await reasonOf(untilAborted(Promise.resolve(1), control.signal))).toBe('gone')
  })
})

describe('systemClock', () => {
  it('has a wall clock and one that is never set back', () => {
    expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1_000)
    const first = systemClock.monotonic()
    expect(systemClock.monotonic()).toBeGreaterThanOrEqual(first)
  })

  it('ends a sleep at once when its signal aborts, and leaves no listener', async () => {
    const control = new AbortController()
    const sleep = systemClock.sleep(2 ** 31 - 1, control.signal)
    expect(getEventListeners(control.signal, 'abort')).toHaveLength(1)
    control.abort()
    await sleep
    expect(getEventListeners(control.signal, 'abort')).toHaveLength(0)
    await systemClock.sleep(2 ** 31 - 1, control.signal)
  })

  it('wakes by itself', async () => {
    await expect(systemClock.sleep(1)).resolves.toBeUndefined()
  })
})
