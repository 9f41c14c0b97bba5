import { describe, expect, it } from '@jest/globals'
import { ProcessHold } from '../../../lib/core/process-hold.js'
import { reasonOf } from '../../support/failure.js'

/** Returns the number of timers that keep the process alive. */
const activeTimers = (): number => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length

describe('ProcessHold', () => {
  it('keeps the process alive with one timer until the last promise settles', async () => {
    const hold = new ProcessHold()
    const before = activeTimers()
    const ends: (() => void)[] = []
    const waits = [1, 2, 3].map(() => hold.during(new Promise<void>(resolve => ends.push(resolve))))
    expect(activeTimers()).toBe(before + 1)
    for (const [i, end] of ends.entries()) {
      expect(activeTimers()).toBe(before + 1)
      end()
      await waits[i]
    }
    expect(activeTimers()).toBe(before)
  })

  it('releases the process after a rejection, and rejects with its reason', async () => {
    const hold = new ProcessHold()
    const before = activeTimers()
    const error = new Error('down')
    expect(await reasonOf(hold.during(Promise.reject(error)))).toBe(error)
    expect(activeTimers()).toBe(before)
  })

  it('is idle when no caller waits', async () => {
    const hold = new ProcessHold()
    await hold.idle()
    let isIdle = false
    hold.begin()
    hold.begin()
    const idle = hold.idle().then(() => (isIdle = true))
    hold.end()
    await Promise.resolve()
    expect(isIdle).toBe(false)
    hold.end()
    await idle
  })
})
