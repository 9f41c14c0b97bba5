import { eventLoopBusyMs, monotonic, startTimer } from './machine.js'

/**
 * The clock of the SDK. In tests, pass `FakeClock` of `@video-io/videokit-nodejs/testing`.
 *
 * It has two clocks: the wall clock can be set, and the monotonic clock can stop while the machine sleeps.
 */
export interface Clock {
  /** The wall clock: milliseconds since 1970-01-01T00:00:00Z. */
  now(): number
  /** The monotonic clock: milliseconds since a fixed time; never set back. */
  monotonic(): number
  /**
   * Resolves after `ms` milliseconds, or immediately when `signal` aborts. Never rejects, never keeps the process
   * alive.
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** A clock of a machine, which also knows how long its event loop was busy. */
interface MachineClock extends Clock {
  busyMs(): number
}

/** The clocks of the machine. */
export const systemClock: MachineClock = {
  now: () => Date.now(),
  monotonic: () => monotonic(),
  sleep: (ms, signal) =>
    new Promise(resolve => {
      if (signal?.aborted) return resolve()
      const done = (): void => {
        stop()
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const stop = startTimer(done, ms)
      signal?.addEventListener('abort', done)
    }),
  busyMs: eventLoopBusyMs,
}

/**
 * How long the event loop of this process has been busy so far, in milliseconds: then it neither sends nor receives. Time
 * in which the process had no processor counts too.
 *
 * Only the machine's clock knows it; with any other clock it is 0.
 */
export function busyMs(clock: Clock & Partial<MachineClock>): number {
  // An inherited one may come from a polluted Object.prototype.
  return Object.hasOwn(clock, 'busyMs') ? (clock.busyMs?.() ?? 0) : 0
}

/** Calls `task` after `ms` milliseconds, unless the returned function is called before. */
export function callAfter(clock: Clock, ms: number, task: () => void): () => void {
  // Without a promise and a signal, because those of two such timers cost a seventh of a mint.
  if (clock === systemClock) return startTimer(task, ms)
  const cancel = new AbortController()
  void clock.sleep(ms, cancel.signal).then(() => {
    if (!cancel.signal.aborted) task()
  })
  // With a reason, because abort() without one creates a DOMException with a stack.
  return () => cancel.abort('stopped')
}
