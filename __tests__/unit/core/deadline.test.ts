import { describe, expect, it } from '@jest/globals'
import { Deadline, untilAborted } from '../../../lib/core/deadline.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { reasonOf } from '../../support/failure.js'

const late = (): Error => new Error('late')

describe('Deadline', () => {
  it('aborts with its reason when the time has passed, but not before', async () => {
    const clock = new FakeClock()
    const deadline = new Deadline(clock, 1_000, late)
    await clock.advance(999)
    expect([deadline.aborted, deadline.signal.aborted, deadline.remainingMs()]).toEqual([false, false, 1])
    expect(() => deadline.throwIfAborted()).not.toThrow()
    await clock.advance(1)
    expect(deadline.aborted).toBe(true)
    expect(deadline.signal.reason).toEqual(late())
    expect(deadline.remainingMs()).toBe(0)
  })

  it('never aborts after it is cleared', async () => {
    const clock = new FakeClock()
    const deadline = new Deadline(clock, 1_000, late)
    deadline.clear()
    expect(clock.sleepers).toBe(0)
    await clock.advance(2_000)
    expect(deadline.signal.aborted).toBe(false)
  })

  it('can be cancelled with another reason', async () => {
    const clock = new FakeClock()
    const deadline = new Deadline(clock, 1_000, late)
    deadline.cancel('closed')
    await clock.advance(2_000)
    expect(deadline.signal.reason).toBe('closed')
  })

  it('calls each listener once, except one that has unsubscribed', async () => {
    const clock = new FakeClock()
    const deadline = new Deadline(clock, 1_000, late)
    const called: unknown[] = []
    deadline.onAbort(() => called.push(deadline.reason))
    deadline.onAbort(() => called.push('stopped'))()
    await clock.advance(1_000)
    deadline.cancel('again')
    expect(called).toEqual([late()])
    expect(deadline.reason).toEqual(late())
    expect(() => deadline.throwIfAborted()).toThrow(late())
  })

  it('calls a listener immediately if it has already aborted', () => {
    const deadline = new Deadline(new FakeClock(), 1_000, late)
    deadline.cancel('closed')
    const called: unknown[] = []
    deadline.onAbort(() => called.push(deadline.reason))
    expect(called).toEqual(['closed'])
  })

  it('has a signal, whether it is read before or after the abort', async () => {
    const early = new Deadline(new FakeClock(), 1_000, late)
    const { signal } = early
    early.cancel('closed')
    expect([signal.aborted, signal.reason]).toEqual([true, 'closed'])
    expect(early.signal).toBe(signal)
    const done = new Deadline(new FakeClock(), 1_000, late)
    done.cancel('closed')
    expect(done.signal.reason).toBe('closed')
  })

  it('uses the monotonic clock, so that setting the wall clock does not move it', async () => {
    const clock = new FakeClock()
    const deadline = new Deadline(clock, 1_000, late)
    clock.setWall(clock.now() + 3_600_000)
    await clock.advance(999)
    expect(deadline.remainingMs()).toBe(1)
  })
})

describe('untilAborted', () => {
  it('settles as the promise does, and unsubscribes from the deadline', async () => {
    const deadline = new Deadline(new FakeClock(), 1_000, late)
    const stopped: boolean[] = []
    const onAbort = deadline.onAbort.bind(deadline)
    deadline.onAbort = callback => {
      const stop = onAbort(callback)
      const index = stopped.push(false) - 1
      return () => {
        stopped[index] = true
        stop()
      }
    }
    expect(await untilAborted(Promise.resolve('done'), deadline)).toBe('done')
    expect(await reasonOf(untilAborted(Promise.reject(late()), deadline))).toEqual(late())
    await Promise.resolve()
    expect(stopped).toEqual([true, true])
  })

  it('rejects with the reason of an abort before or during the wait', async () => {
    const deadline = new Deadline(new FakeClock(), 1_000, late)
    const waiting = reasonOf(untilAborted(new Promise(() => undefined), deadline))
    deadline.cancel('gone')
    expect(await waiting).toBe('gone')
    expect(await reasonOf(untilAborted(Promise.resolve(1), deadline))).toBe('gone')
  })
})
