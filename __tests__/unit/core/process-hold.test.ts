import { describe, expect, it } from '@jest/globals'
import { ProcessHold } from '../../../lib/core/process-hold.js'
import { reasonOf } from '../../support/failure.js'

/** Timers that keep the process alive. */
const held = (): number => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length

describe('ProcessHold', () => {
  it('holds by one timer while somebody waits, and lets go with the last', async () => {
    const hold = new ProcessHold()
    const before = held()
    const ends: (() => void)[] = []
    const waits = [1, 2, 3].map(() => hold.during(new Promise<void>(resolve => ends.push(resolve))))
    expect(held()).toBe(before + 1)
    for (const [i, end] of ends.entries()) {
      expect(held()).toBe(before + 1)
      end()
      await waits[i]
    }
    expect(held()).toBe(before)
  })

  it('lets go after a rejection, which it passes on', async () => {
    const hold = new ProcessHold()
    const before = held()
    const error = new Error('down')
    expect(await reasonOf(hold.during(Promise.reject(error)))).toBe(error)
    expect(held()).toBe(before)
  })
})
