/** Milliseconds since a fixed time. Workers stop this clock between two operations of I/O. */
export const monotonic: () => number = performance.now.bind(performance)

/** Not known at the edge. */
export function eventLoopBusyMs(): number {
  return 0
}

/** Calls `task` after `ms` milliseconds, unless the returned function is called before, or the request ends. */
export function startTimer(task: () => void, ms: number): () => void {
  const timer = setTimeout(task, ms)
  return () => clearTimeout(timer)
}

/** Calls `task` in a later turn of the event loop. */
export function inNextTurn(task: () => void): void {
  setTimeout(task, 0)
}

/** Does nothing: a request ends with its response, and with the work that was passed to `waitUntil`. */
export function keepProcessAlive(): () => void {
  return () => undefined
}
