import { describe, expect, it } from '@jest/globals'
import { getEventListeners } from 'node:events'
import { onAbort } from '../../../lib/core/on-abort.js'

const listenersOf = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length

describe('onAbort', () => {
  it('tells everybody once, by one listener', () => {
    const { signal, abort } = controller()
    const told: number[] = []
    for (let i = 0; i < 100; i++) onAbort(signal, () => told.push(i))
    expect(listenersOf(signal)).toBe(1)
    abort()
    abort()
    expect(told).toEqual(Array.from({ length: 100 }, (_, i) => i))
    expect(listenersOf(signal)).toBe(0)
  })

  it('tells nobody who has left, and listens no longer than somebody waits', () => {
    const { signal, abort } = controller()
    const told: string[] = []
    const leave = ['a', 'b', 'c'].map(name => onAbort(signal, () => told.push(name)))
    leave[1]?.()
    leave[1]?.()
    expect(listenersOf(signal)).toBe(1)
    abort()
    expect(told).toEqual(['a', 'c'])

    const other = controller()
    const stops = [onAbort(other.signal, () => told.push('d')), onAbort(other.signal, () => told.push('e'))]
    for (const stop of stops) stop()
    expect(listenersOf(other.signal)).toBe(0)
    onAbort(other.signal, () => told.push('f'))
    other.abort()
    expect(told).toEqual(['a', 'c', 'f'])
  })

  it('lets those who are told leave, and take others with them', () => {
    const { signal, abort } = controller()
    const told: string[] = []
    const leaveFirst = onAbort(signal, () => {
      told.push('first')
      leaveFirst()
      leaveSecond()
    })
    const leaveSecond = onAbort(signal, () => told.push('second'))
    abort()
    expect(told).toEqual(['first'])
  })
})

function controller(): { signal: AbortSignal; abort: () => void } {
  const control = new AbortController()
  return { signal: control.signal, abort: () => control.abort() }
}
