import { afterEach, expect, it, jest } from '@jest/globals'
import { GRACE_MS, Interruption, LAST_WRITE_MS } from '../../../lib/cli/interruption.js'

afterEach(() => {
  for (const signal of ['SIGINT', 'SIGBREAK', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(signal)
  jest.useRealTimers()
  jest.restoreAllMocks()
})

it('stops at a signal, aborts after the grace period, and ends the process within a second', async () => {
  jest.useFakeTimers()
  const exit = jest.spyOn(process, 'exit').mockReturnValue(undefined as never)
  jest.spyOn(process, 'getActiveResourcesInfo').mockReturnValue([])
  const run = new Interruption()
  process.emit('SIGTERM')
  process.emit('SIGINT') // npx sends each signal once more.
  expect([run.exitCode, run.stopSignal.aborted, run.abortSignal.aborted]).toEqual([143, true, false])
  await jest.advanceTimersByTimeAsync(GRACE_MS)
  expect(run.abortSignal.aborted).toBe(true)
  expect(exit).not.toHaveBeenCalled()
  await jest.advanceTimersByTimeAsync(LAST_WRITE_MS)
  expect(exit.mock.calls).toEqual([[143]])
  expect(GRACE_MS + LAST_WRITE_MS).toBeLessThan(900)
})
