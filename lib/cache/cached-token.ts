import { backoffMs, type Backoff, type Random } from '../core/backoff.js'
import type { Clock } from '../core/clock.js'
import { isBefore, later, untilMs, type Instant, type Lifetime } from '../core/instant.js'
import type { VKitError } from '../core/vkit-error.js'
import type { SessionToken } from '../token/session-token.js'

/** Refreshes are drawn up to this much earlier, so that tokens made together are not refreshed together. */
const REFRESH_SPREAD = 0.2
const DEFAULT_MIN_VALIDITY_MS = 60_000
const DEFAULT_MIN_VALIDITY_PART = 0.1
const FIRST_BACKOFF_MS = 1_000
const LONGEST_BACKOFF_MS = 30_000
const BACKOFF: Backoff = { firstMs: FIRST_BACKOFF_MS, longestMs: LONGEST_BACKOFF_MS }

export interface FreshnessPolicy {
  /** The part of a token's life after which it is refreshed in the background. */
  readonly refreshAhead: number
  /** Less than this left, and a call waits for a new one. Missing: 60 s, or a tenth of the token's life where that is less. */
  readonly minValidityMs?: number | undefined
  readonly random: Random
}

/**
 * A token that is kept, and what its age allows.
 *
 * It is as old as the more pessimistic of two clocks says: the wall clock can be set back, the monotonic one stops while a
 * machine sleeps.
 */
export class CachedToken {
  readonly token: SessionToken
  readonly #lifetimeMs: number
  readonly #expiresAt: Instant
  readonly #minValidityMs: number
  readonly #random: Random
  #nextTryAt!: Instant
  /** Until then it is served without a further thought. */
  #quietUntil!: Instant
  #failures = 0
  #failure: VKitError | undefined

  constructor(token: SessionToken, { start, ms }: Lifetime, policy: FreshnessPolicy) {
    this.token = token
    this.#random = policy.random
    this.#lifetimeMs = ms
    this.#expiresAt = later(start, ms)
    const byDefault = Math.min(DEFAULT_MIN_VALIDITY_MS, DEFAULT_MIN_VALIDITY_PART * ms)
    this.#minValidityMs = this.#orWhatCanBe(policy.minValidityMs, byDefault)
    this.#tryNextAt(later(start, ms * policy.refreshAhead * (1 - REFRESH_SPREAD * policy.random())))
  }

  /** Whether it can be served, and nothing else need be done. Allocates nothing, for most calls end here. */
  isQuiet(clock: Clock): boolean {
    return clock.now() < this.#quietUntil.wall && clock.monotonic() < this.#quietUntil.monotonic
  }

  remainingMs(now: Instant): number {
    return untilMs(this.#expiresAt, now)
  }

  /** Whether a call that wants it valid for another `minValidityMs` may have it without waiting for a new one. */
  isServable(now: Instant, minValidityMs?: number): boolean {
    const remaining = this.remainingMs(now)
    return remaining > 0 && remaining >= this.#orWhatCanBe(minValidityMs, this.#minValidityMs)
  }

  /** Whether it is time for another, and nobody is at it. */
  isDue(now: Instant): boolean {
    return !isBefore(now, this.#nextTryAt)
  }

  /** Somebody is fetching another. */
  rest(): void {
    this.#failure = undefined
    this.#tryNextAt(NEVER)
  }

  /** No other came of it: the next try waits, with full jitter, and never less than the gateway asked for. */
  noteFailure(now: Instant, error?: VKitError): void {
    const waitMs = backoffMs(this.#failures++, BACKOFF, this.#random)
    this.#failure = error
    this.#tryNextAt(later(now, Math.max(waitMs, error?.retryAfterMs ?? 0)))
  }

  /** What the last try failed with, while it is too early for the next. */
  failureAt(now: Instant): VKitError | undefined {
    return isBefore(now, this.#nextTryAt) ? this.#failure : undefined
  }

  /** What no token of this lifetime can fulfil would make every call mint. */
  #orWhatCanBe(wishMs: number | undefined, otherwiseMs: number): number {
    return wishMs !== undefined && wishMs < this.#lifetimeMs ? wishMs : otherwiseMs
  }

  #tryNextAt(moment: Instant): void {
    const validUntil = later(this.#expiresAt, -this.#minValidityMs)
    this.#nextTryAt = moment
    this.#quietUntil = {
      wall: Math.min(moment.wall, validUntil.wall),
      monotonic: Math.min(moment.monotonic, validUntil.monotonic),
    }
  }
}

const NEVER: Instant = { wall: Infinity, monotonic: Infinity }
