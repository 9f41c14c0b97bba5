import { describe, expect, it, jest } from '@jest/globals'
import type { VKitEventListener } from '../../../lib/core/events.js'
import { withDebugLog } from '../../../lib/options/debug.js'
import { FakeClock } from '../../../lib/testing/index.js'

describe('withDebugLog', () => {
  it.each([undefined, '', '0', 'false', ' , '])('is the listener of the client without events: %j', setting => {
    const onEvent = (): void => undefined
    expect(withDebugLog(setting, onEvent, new FakeClock())).toBe(onEvent)
    expect(withDebugLog(setting, undefined, new FakeClock())).toBeUndefined()
  })

  it('calls the listener, and returns its promise, even if the clock returns no time', async () => {
    const clock = Object.assign(new FakeClock(), { now: () => NaN })
    const failed = Promise.reject(new Error('a rejection'))
    const onEvent = jest.fn(() => failed) as VKitEventListener & jest.Mock
    expect(withDebugLog('1', onEvent, clock)?.({ type: 'hit' })).toBe(failed)
    await expect(failed).rejects.toThrow('a rejection')
    expect(onEvent.mock.calls).toEqual([[{ type: 'hit' }]])
  })
})
