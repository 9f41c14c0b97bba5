import { callAfter, type Clock } from './clock.js'

/**
 * A moment by which work must end, or earlier, when it is cancelled.
 *
 * Like an AbortController, and many times cheaper: every mint has one.
 */
export class Deadline {
  readonly #clock: Clock
  readonly #endsAt: number
  readonly #stopTimer: () => void
  readonly #callbacks = new Set<() => void>()
  #aborted = false
  #reason: unknown
  #control: AbortController | undefined

  /** `reason()` makes what the work is aborted with when the time is up. */
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
