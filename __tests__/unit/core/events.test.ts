import { afterEach, describe, expect, it } from '@jest/globals'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Events, type VKitEvent } from '../../../lib/core/events.js'

const subscriptions: [string, (message: unknown, name: string | symbol) => void][] = []

function collect(name: string): unknown[] {
  const messages: unknown[] = []
  const listener = (message: unknown): void => void messages.push(message)
  subscribe(name, listener)
  subscriptions.push([name, listener])
  return messages
}

afterEach(() => {
  for (const [name, listener] of subscriptions.splice(0)) unsubscribe(name, listener)
})

describe('Events', () => {
  it('calls the listener, and counts each type', () => {
    const emitted: VKitEvent[] = []
    const events = new Events(event => void emitted.push(event))
    events.hit()
    events.hit()
    events.emit({ type: 'miss' })
    expect(emitted).toEqual([{ type: 'hit' }, { type: 'hit' }, { type: 'miss' }])
    expect([events.count('hit'), events.count('miss'), events.count('retry')]).toEqual([2, 1, 0])
  })

  it('also publishes each type on its own diagnostics channel', () => {
    const [hits, skews, misses] = ['hit', 'clock-skew', 'miss'].map(type => collect(`videokit:${type}`))
    const events = new Events()
    events.hit()
    events.emit({ type: 'clock-skew', skewMs: 5_000 })
    expect([hits, skews, misses]).toEqual([[{ type: 'hit' }], [{ type: 'clock-skew', skewMs: 5_000 }], []])
  })

  it('publishes to a subscriber that subscribes later', () => {
    const events = new Events()
    events.emit({ type: 'miss' })
    const misses = collect('videokit:miss')
    events.emit({ type: 'miss' })
    expect(misses).toHaveLength(1)
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('oops')
      },
    ],
    ['rejects', () => Promise.reject(new Error('oops'))],
    [
      'returns a thenable that rejects',
      () => ({ then: (_: unknown, reject: (error: Error) => void) => reject(new Error('oops')) }),
    ],
    ['returns null', () => null],
    [
      'returns a proxy that throws',
      () =>
        new Proxy(
          {},
          {
            get: () => {
              throw new Error('oops')
            },
          },
        ),
    ],
  ])('suppresses the errors of a listener that %s', async (_, listener: (event: VKitEvent) => unknown) => {
    const rejections: unknown[] = []
    const record = (reason: unknown): void => void rejections.push(reason)
    process.on('unhandledRejection', record)
    try {
      const events = new Events(listener)
      expect(() => {
        events.hit()
        events.emit({ type: 'miss' })
      }).not.toThrow()
      await new Promise(resolve => setImmediate(resolve))
      expect(rejections).toEqual([])
      expect(events.count('miss')).toBe(1)
    } finally {
      process.off('unhandledRejection', record)
    }
  })
})
