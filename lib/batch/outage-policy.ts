import type { Clock } from '../core/clock.js'
import { VKitRateLimitError } from '../core/errors.js'
import type { VKitError } from '../core/vkit-error.js'
import type { OutageMode } from '../options/types.js'
import type { FailedWork, Work } from './work-queue.js'

export interface OutagePolicyOptions {
  readonly onOutage: OutageMode
  readonly maxOutageMs: number
  /** How often the gateway has minted or refused a token for any caller of this client. */
  readonly responses: () => number
  readonly clock: Clock
}

/** After this many tries, each followed by a success of another identity, the failure of an identity is its own. */
const MAX_TRIES = 5
/** After this many failures without a success between them, it may be an outage. */
const FAILURES_TO_PROBE = 8
/** If more than this share of identities is told 429, it is a limit for all of them. */
const MAX_LIMITED_SHARE = 0.1
/** The weight of the newest outcome in that share. A reference shows more, because it has succeeded before. */
const SHARE_WEIGHT = 0.05
const REFERENCE_WEIGHT = 0.5

/** Decides what a run does while nothing succeeds: wait, probe, or treat each failure as final. */
export class OutagePolicy {
  readonly #options: OutagePolicyOptions
  /** Since when mints have failed with retryable errors, without a success. */
  #failingSince = Infinity
  /** How often the gateway had responded at the last failure, if any. */
  #responsesBefore: number | undefined
  /** How many have failed since then, without those that were told 429. */
  #failures = 0
  #limitedShare = 0
  #mayWait: boolean
  /** Until when the client refuses every mint. */
  #resumeAt = 0

  constructor(options: OutagePolicyOptions) {
    this.#options = options
    this.#mayWait = options.onOutage === 'wait'
  }

  /** Records the outcome of the first mint of an identity, or of one that succeeded before. */
  recordFirst(isLimited: boolean, isReference: boolean): void {
    const weight = isReference ? REFERENCE_WEIGHT : SHARE_WEIGHT
    this.#limitedShare += weight * ((isLimited ? 1 : 0) - this.#limitedShare)
  }

  /**
   * Records a retryable failure.
   *
   * Only a refusal by the circuit or by overload pauses the run; others affect one identity.
   */
  recordFailure({ code, refusedBy, retryAfterMs = 0 }: VKitError): void {
    const now = this.#options.clock.monotonic()
    if (!this.#isFailing) {
      this.#failingSince = now
      this.#failures = 0
      this.#resumeAt = now
    }
    this.#responsesBefore = this.#options.responses()
    if (code !== 'VKIT_RATE_LIMITED') this.#failures++
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

  /** Whether nothing has succeeded since the last failure. */
  get #isFailing(): boolean {
    return this.#options.responses() === this.#responsesBefore
  }

  /** Whether only one identity at a time is tried, as a probe for the end of an outage. */
  get isProbing(): boolean {
    return this.#isFailing && this.#failures >= FAILURES_TO_PROBE && this.canWait
  }

  /** Whether the run may wait for the end of an outage, and the outage is not longer than `maxOutageMs`. */
  get canWait(): boolean {
    const { clock, maxOutageMs } = this.#options
    if (!this.#mayWait) return false
    return !this.#isFailing || Math.max(clock.monotonic(), this.#resumeAt) - this.#failingSince <= maxOutageMs
  }

  /** Returns how long the run should not start any mint. */
  pauseMs(): number {
    if (!this.#isFailing || !this.canWait) return 0
    return Math.max(0, this.#resumeAt - this.#options.clock.monotonic())
  }

  /** Whether an identity has to wait longer than `maxOutageMs` for its next mint. */
  isTooLong({ notBefore }: Pick<Work, 'notBefore'>): boolean {
    return notBefore - this.#options.clock.monotonic() > this.#options.maxOutageMs
  }

  /** Whether a 429 is a limit for all identities, and none of them is to blame. */
  get isLimitOfAll(): boolean {
    return this.#limitedShare > MAX_LIMITED_SHARE
  }

  /** Counts a failure after which another identity has succeeded. Returns whether the identity is to blame. */
  isOwnFault(work: FailedWork): boolean {
    const { error } = work
    const isOfAll = error instanceof VKitRateLimitError && this.isLimitOfAll
    // An open circuit or a full queue says nothing about this identity.
    if (error.attempts > 0 && !isOfAll) work.tries++
    return work.tries >= MAX_TRIES
  }
}
