import { describe, expect, it, jest } from '@jest/globals'
import { bindContext } from '../../../lib/core/async-context.edge.js'
import { channel, tracingChannel } from '../../../lib/core/diagnostics.edge.js'
import { loadChunk } from '../../../lib/core/load-chunk.edge.js'
import { logName, writeLine } from '../../../lib/core/log-line.edge.js'
import { eventLoopBusyMs, inNextTurn, keepProcessAlive, monotonic, startTimer } from '../../../lib/core/machine.edge.js'

describe('the core at the edge', () => {
  it('has a clock that is never set back', () => {
    const before = monotonic()
    expect(monotonic()).toBeGreaterThanOrEqual(before)
    expect(eventLoopBusyMs()).toBe(0)
  })

  it('has timers that can be stopped', () => {
    jest.useFakeTimers()
    const [stopped, called, next] = [jest.fn(), jest.fn(), jest.fn()]
    startTimer(stopped, 10)()
    startTimer(called, 10)
    inNextTurn(next)
    jest.advanceTimersByTime(9)
    expect([called, next].map(({ mock }) => mock.calls.length)).toEqual([0, 1])
    jest.advanceTimersByTime(1)
    expect([called, stopped].map(({ mock }) => mock.calls.length)).toEqual([1, 0])
    jest.useRealTimers()
    expect(keepProcessAlive()).not.toThrow()
  })

  it('has channels without subscribers, which still run the work', () => {
    expect(channel('videokit:hit').hasSubscribers).toBe(false)
    const { start, ...others } = tracingChannel('videokit:call')
    expect(start.runStores({}, () => 'done')).toBe('done')
    expect(Object.values(others).map(({ hasSubscribers }) => hasSubscribers)).toEqual([false, false, false, false])
  })

  it('runs a bound task as it is, and loads a part of the package once it is asked', async () => {
    const task = (): string => 'secret'
    expect(bindContext(task)).toBe(task)
    await expect(loadChunk(() => Promise.resolve('part'), 'part.js')).resolves.toBe('part')
  })

  it('writes lines to the console', () => {
    const write = jest.spyOn(console, 'error').mockImplementation(() => undefined)
    writeLine(`${logName()} mint`)
    expect(write.mock.calls).toEqual([['videokit mint']])
    write.mockRestore()
  })
})
