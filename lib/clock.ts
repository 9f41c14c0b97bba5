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
      // Whoever waits for the outcome holds the process open (see process-hold.ts); a timer of ours never does.
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
  return () => cancel.abort()
}

/** A moment by which work must end, with a signal for those who do it. */
export class Deadline {
  /** How long it was when it began. */
  readonly ms: number
  readonly #clock: Clock
  readonly #endsAt: number
  readonly #work = new AbortController()
  readonly #stopTimer: () => void

  /** `reason()` makes what the work is aborted with when the time is up. */
  constructor(clock: Clock, ms: number, reason: () => Error) {
    this.ms = ms
    this.#clock = clock
    this.#endsAt = clock.monotonic() + ms
    this.#stopTimer = callAfter(clock, ms, () => this.#work.abort(reason()))
  }

  /** Aborts at the deadline, with `reason()`, or earlier through `cancel`. */
  get signal(): AbortSignal {
    return this.#work.signal
  }

  remainingMs(): number {
    return Math.max(0, this.#endsAt - this.#clock.monotonic())
  }

  /** Ends the work now. */
  cancel(reason: unknown): void {
    this.clear()
    this.#work.abort(reason)
  }

  /** The work is done: the time need not be watched any longer. */
  clear(): void {
    this.#stopTimer()
  }
}

/** Waits for `promise` no longer than until `signal` aborts, then rejects with its reason. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
