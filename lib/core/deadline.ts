import { callAfter, type Clock } from './clock.js'

/**
 * The time by which work must end; the work can be cancelled earlier.
 *
 * It works like an AbortController but is much cheaper, because every mint has one.
 */
export class Deadline {
  readonly #clock: Clock
  readonly #endsAt: number
  readonly #stopTimer: () => void
  readonly #callbacks = new Set<() => void>()
  #aborted = false
  #reason: unknown
  #control: AbortController | undefined

  /** `reason()` creates the error that aborts the work when the time is up. */
  constructor(clock: Clock, ms: number, reason: () => Error) {
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

  /** The signal of this deadline, created at its first use. */
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

  /** Calls `callback` at the end, or now if it has passed, unless the returned function is called before. */
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

  /** Stops the timer, because the work is done. */
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

/** Waits for `promise` until `deadline`, then rejects with its reason. */
export function untilAborted<T>(promise: Promise<T>, deadline: Deadline): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(deadline.reason)
    const stop = deadline.onAbort(abort)
    promise.then(resolve, reject).finally(stop)
  })
}
