import { performance } from 'node:perf_hooks'

/** The maximum of setInterval, longer than any wait. */
const FOREVER_MS = 2 ** 31 - 1

/** Milliseconds since a fixed time. Bound, because a lookup at each call makes a hit a tenth slower. */
export const monotonic: () => number = performance.now.bind(performance)

/** How long the event loop has been busy so far, in milliseconds. */
export function eventLoopBusyMs(): number {
  return performance.eventLoopUtilization().active
}

/** Calls `task` after `ms` milliseconds, unless the returned function is called before. */
export function startTimer(task: () => void, ms: number): () => void {
  // Only a waiting caller keeps the process alive (see process-hold.ts), never a timer.
  const timer = setTimeout(task, ms).unref()
  return () => clearTimeout(timer)
}

/** Calls `task` in the next turn of the event loop, after what has arrived is read. */
export function inNextTurn(task: () => void): void {
  setImmediate(task)
}

/** Keeps the process alive until the returned function is called. */
export function keepProcessAlive(): () => void {
  const timer = setInterval(() => undefined, FOREVER_MS)
  return () => clearInterval(timer)
}
