import { describe, expect, it } from '@jest/globals'
import { getEventListeners } from 'node:events'
import { onAbort } from '../../../lib/core/on-abort.js'

const listenersOf = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length

describe('onAbort', () => {
  it('calls each callback once, with one listener per signal', () => {
    const { signal, abort } = controller()
    const called: number[] = []
    for (let i = 0; i < 100; i++) onAbort(signal, () => called.push(i))
    expect(listenersOf(signal)).toBe(1)
    abort()
    abort()
    expect(called).toEqual(Array.from({ length: 100 }, (_, i) => i))
    expect(listenersOf(signal)).toBe(0)
  })

  it('does not call an unsubscribed callback, and removes its listener with the last one', () => {
    const { signal, abort } = controller()
    const called: string[] = []
    const unsubscribe = ['a', 'b', 'c'].map(name => onAbort(signal, () => called.push(name)))
    unsubscribe[1]?.()
    unsubscribe[1]?.()
    expect(listenersOf(signal)).toBe(1)
    abort()
    expect(called).toEqual(['a', 'c'])

    const other = controller()
    const stops = [onAbort(other.signal, () => called.push('d')), onAbort(other.signal, () => called.push('e'))]
    for (const stop of stops) stop()
    expect(listenersOf(other.signal)).toBe(0)
    onAbort(other.signal, () => called.push('f'))
    other.abort()
    expect(called).toEqual(['a', 'c', 'f'])
  })

  it('keeps one listener per signal, even if a callback is unsubscribed twice', () => {
    const { signal } = controller()
    const stop = onAbort(signal, () => undefined)
    stop()
    onAbort(signal, () => undefined)
    stop()
    onAbort(signal, () => undefined)
    expect(listenersOf(signal)).toBe(1)
  })

  it('refuses a signal that cannot add a listener, and accepts one that cannot remove it', () => {
    const fail = (): never => {
      throw new Error('the secret is 42')
    }
    const broken = Object.assign(controller().signal, { addEventListener: fail })
    for (let attempt = 0; attempt < 2; attempt++) {
      expect(() => onAbort(broken, fail)).toThrow(
        expect.objectContaining({
          code: 'VKIT_INVALID_ARGUMENT',
          message: 'signal must be an AbortSignal: its addEventListener throws.',
        }),
      )
    }
    const { signal, abort } = controller()
    const stop = onAbort(Object.assign(signal, { removeEventListener: fail }), fail)
    expect(stop).not.toThrow()
    expect(abort).not.toThrow()
  })

  it('lets a callback unsubscribe itself and others', () => {
    const { signal, abort } = controller()
    const called: string[] = []
    const unsubscribeFirst = onAbort(signal, () => {
      called.push('first')
      unsubscribeFirst()
      unsubscribeSecond()
    })
    const unsubscribeSecond = onAbort(signal, () => called.push('second'))
    abort()
    expect(called).toEqual(['first'])
  })
})

function controller(): { signal: AbortSignal; abort: () => void } {
  const control = new AbortController()
  return { signal: control.signal, abort: () => control.abort() }
}
