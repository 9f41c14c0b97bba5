import type { Clock } from '../core/clock.js'
import type { VKitError } from '../core/vkit-error.js'
import type { OutageMode } from '../options/types.js'

export interface OutagePolicyOptions {
  readonly onOutage: OutageMode
  readonly maxOutageMs: number
  readonly clock: Clock
}

/** After this many attempts, if others succeed, the failure of an identity counts as its own. */
const MAX_ATTEMPTS = 5

/** Decides what a run does while nothing succeeds: wait, probe, or treat each failure as final. */
export class OutagePolicy {
  readonly #options: OutagePolicyOptions
  /** Since when mints have failed with retryable errors, without a success. */
  #failingSince: number | undefined
  #successes = 0
  #mayWait: boolean
  /** Until when the client refuses every mint. */
  #resumeAt = -Infinity

  constructor(options: OutagePolicyOptions) {
    this.#options = options
    this.#mayWait = options.onOutage === 'wait'
  }

  get successes(): number {
    return this.#successes
  }

  recordSuccess(): void {
    this.#successes++
    this.#failingSince = undefined
    this.#resumeAt = -Infinity
  }

  /**
   * Records a retryable failure.
   *
   * Only a refusal by the circuit or by overload pauses the run; others affect one identity.
   */
  recordFailure({ refusedBy, retryAfterMs = 0 }: VKitError): void {
    const now = this.#options.clock.monotonic()
    this.#failingSince ??= now
    if (refusedBy !== 'circuit' && refusedBy !== 'overload') return
    this.#resumeAt = Math.max(this.#resumeAt, now + retryAfterMs)
  }

  /** Whether a failure may be retried: `onOutage` is `wait`, and `stopWaiting` was not called. */
  get mayWait(): boolean {
    return this.#mayWait
  }

  /** Acts like `fail` from now on. */
  stopWaiting(): void {
    this.#mayWait = false
  }

  /** Whether only one identity at a time is tried, as a probe for the end of an outage. */
  get isProbing(): boolean {
    return this.#failingSince !== undefined && this.canWait
  }

  /** Whether the run may wait for the end of an outage, and the outage is not longer than `maxOutageMs`. */
  get canWait(): boolean {
    const { clock, maxOutageMs } = this.#options
    if (!this.#mayWait) return false
    const now = clock.monotonic()
    return Math.max(now, this.#resumeAt) - (this.#failingSince ?? now) <= maxOutageMs
  }

  /** Returns how long the run should not start any mint. */
  pauseMs(): number {
    if (!this.canWait) return 0
    return Math.max(0, this.#resumeAt - this.#options.clock.monotonic())
  }

  /** Whether the next attempt for an identity would come more than `maxOutageMs` after its first failure. */
  isTooLong({
    notBefore,
    failedSince,
  }: {
    readonly notBefore: number
    readonly failedSince: number | undefined
  }): boolean {
    const { clock, maxOutageMs } = this.#options
    const now = clock.monotonic()
    return Math.max(now, notBefore) - (failedSince ?? now) > maxOutageMs
  }

  /** Whether an identity failed so often while others succeeded that the failure is its own. */
  isOwnFault({ attempts, successesBefore }: { readonly attempts: number; readonly successesBefore: number }): boolean {
    return attempts >= MAX_ATTEMPTS && this.#successes > successesBefore
  }
}
