import type { Clock } from '../core/clock.js'
import type { VKitError } from '../core/vkit-error.js'
import type { OutageMode } from '../options/types.js'

export interface OutagePolicyOptions {
  readonly onOutage: OutageMode
  readonly maxOutageMs: number
  readonly clock: Clock
}

/** Attempts of one identity after which, if others succeed, the failure is held to be its own. */
const MAX_ATTEMPTS = 5

/** What a run does while nothing succeeds: wait, probe, or go on as if each failure were final. */
export class OutagePolicy {
  readonly #options: OutagePolicyOptions
  /** Since when, without a success, mints have failed for reasons that may pass. */
  #failingSince: number | undefined
  #successes = 0
  /** Until when the client refuses every mint. */
  #resumeAt = -Infinity

  constructor(options: OutagePolicyOptions) {
    this.#options = options
  }

  get successes(): number {
    return this.#successes
  }

  recordSuccess(): void {
    this.#successes++
    this.#failingSince = undefined
    this.#resumeAt = -Infinity
  }

  /** Other failures, with their `retryAfterMs`, concern one identity. */
  recordFailure({ refusedBy, retryAfterMs = 0 }: VKitError): void {
    const now = this.#options.clock.monotonic()
    this.#failingSince ??= now
    if (refusedBy !== 'circuit' && refusedBy !== 'overload') return
    this.#resumeAt = Math.max(this.#resumeAt, now + retryAfterMs)
  }

  /** Whether one identity at a time finds out if something succeeds again. */
  get isProbing(): boolean {
    return this.#failingSince !== undefined && this.canWait
  }

  /** Whether an outage is waited for, and has not lasted longer than agreed. */
  get canWait(): boolean {
    const { clock, onOutage, maxOutageMs } = this.#options
    if (onOutage === 'fail') return false
    const now = clock.monotonic()
    return Math.max(now, this.#resumeAt) - (this.#failingSince ?? now) <= maxOutageMs
  }

  /** How long nothing should be started. */
  pauseMs(): number {
    if (!this.canWait) return 0
    return Math.max(0, this.#resumeAt - this.#options.clock.monotonic())
  }

  /** Whether the next attempt for an identity would come later after its first failure than an outage may last. */
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

  /** Whether an identity failed so often, while others succeeded, that the failure is its own. */
  isOwnFault({ attempts, successesBefore }: { readonly attempts: number; readonly successesBefore: number }): boolean {
    return attempts >= MAX_ATTEMPTS && this.#successes > successesBefore
  }
}
