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

/**
 * A moment by which work must end, or earlier, when it is cancelled.
 *
 * Like an AbortController, and many times cheaper: every mint has one.
 */
export class Deadline {
  /** How long it was when it began. */
  readonly ms: number
  readonly #clock: Clock
  readonly #endsAt: number
  readonly #stopTimer: () => void
  readonly #callbacks = new Set<() => void>()
  #aborted = false
  #reason: unknown
  #control: AbortController | undefined

  /** `reason()` makes what the work is aborted with when the time is up. */
  constructor(clock: Clock, ms: number, reason: () => Error) {
    this.ms = ms
    this.#clock = clock
    this.#endsAt = clock.monotonic() + ms
    this.#stopTimer = callAfter(clock, ms, () => this.#abort(reason()))
  }

  get aborted(): boolean {
    return this.#aborted
  }

  get reason(): unknown {
    return this.#reason
  }

  /** For those who hand it on; it is made when it is first asked for. */
  get signal(): AbortSignal {
    if (!this.#control) {
      const control = (this.#control = new AbortController())
      this.onAbort(() => control.abort(this.#reason))
    }
    return this.#control.signal
  }

  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason
  }

  /** Calls `callback` at the end, or now where that has come, until the returned function is called. */
  onAbort(callback: () => void): () => void {
    if (this.#aborted) callback()
    else this.#callbacks.add(callback)
    return () => this.#callbacks.delete(callback)
  }

  remainingMs(): number {
    return Math.max(0, this.#endsAt - this.#clock.monotonic())
  }

  /** Ends the work now. */
  cancel(reason: unknown): void {
    this.clear()
    this.#abort(reason)
  }

  /** The work is done: the time need not be watched any longer. */
  clear(): void {
    this.#stopTimer()
  }

  #abort(reason: unknown): void {
    if (this.#aborted) return
    this.#aborted = true
    this.#reason = reason
    for (const callback of this.#callbacks) callback()
  }
}

/** Waits for `promise` no longer than until `deadline`, then rejects with its reason. */
export function untilAborted<T>(promise: Promise<T>, deadline: Deadline): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(deadline.reason)
    const stop = deadline.onAbort(abort)
    promise.then(resolve, reject).finally(stop)
  })
}
