import type { Clock } from '../core/clock.js'
import type { VKitError } from '../core/vkit-error.js'
import type { OutageMode } from '../options/types.js'

export interface OutagePolicyOptions {
  readonly onOutage: OutageMode
  readonly maxOutageMs: number
  /** Until when, by the monotonic clock, the gateway asked with `Retry-After` for a pause. */
  readonly rateLimitedUntil: () => number
  /** The longest wait for `rateLimitedUntil` where outages are not waited for. */
  readonly deadlineMs: number
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
  /** Until when the circuit lets no probe through. */
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

  recordFailure({ retryAfterMs = 0 }: VKitError): void {
    const now = this.#options.clock.monotonic()
    this.#failingSince ??= now
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
    const { clock, rateLimitedUntil, maxOutageMs, deadlineMs } = this.#options
    const { canWait } = this
    const pauseMs = Math.max(rateLimitedUntil(), canWait ? this.#resumeAt : -Infinity) - clock.monotonic()
    // A wait that is not worth it is replaced by an attempt: it fails by the open circuit, without a request.
    return pauseMs > (canWait ? maxOutageMs : deadlineMs) ? 0 : pauseMs
  }

  /** Whether an identity failed so often, while others succeeded, that the failure is its own. */
  isOwnFault({ attempts, successesBefore }: { readonly attempts: number; readonly successesBefore: number }): boolean {
    return attempts >= MAX_ATTEMPTS && this.#successes > successesBefore
  }
}
