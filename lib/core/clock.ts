import { performance } from 'node:perf_hooks'

/**
 * Where the SDK takes its time from. Give your own in tests: `FakeClock` of `@video-io/videokit-nodejs/testing`.
 *
 * Two clocks, because each lies in its own way: the wall clock can be set, the monotonic one stops while a machine sleeps.
 */
export interface Clock {
  /** Wall clock, milliseconds since 1970-01-01T00:00:00Z. */
  now(): number
  /** Milliseconds since some fixed moment; never set back. */
  monotonic(): number
  /** Resolves after `ms` milliseconds, or at once when `signal` aborts. Never rejects, never keeps the process alive. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

// Bound, which makes a cached hit a tenth faster than looking it up each time.
const monotonic = performance.now.bind(performance)

/** The machine's own clocks. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => monotonic(),
  sleep: (ms, signal) =>
    new Promise(resolve => {
      if (signal?.aborted) return resolve()
      const done = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      // A waiting caller holds the process open (see process-hold.ts); a timer of ours never does.
      const timer = setTimeout(done, ms)
      timer.unref()
      signal?.addEventListener('abort', done)
    }),
}

/** Calls `task` after `ms` milliseconds, unless the function that it returns is called before. */
export function callAfter(clock: Clock, ms: number, task: () => void): () => void {
  if (clock === systemClock) {
    // The same without a promise and a signal: those of two such timers were a seventh of what a mint costs.
    const timer = setTimeout(task, ms).unref()
    return () => clearTimeout(timer)
  }
  const cancel = new AbortController()
  void clock.sleep(ms, cancel.signal).then(() => {
    if (!cancel.signal.aborted) task()
  })
  // With a reason, because abort() would make a DOMException with a stack.
  return () => cancel.abort('stopped')
}
