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
  #nextRefreshAt!: Instant
  /** Until then it is served, and nothing else is done. */
  #freshUntil!: Instant
  #failures = 0
  #failure: VKitError | undefined

  constructor(token: SessionToken, { start, ms }: Lifetime, policy: FreshnessPolicy) {
    this.token = token
    this.#random = policy.random
    this.#lifetimeMs = ms
    this.#expiresAt = later(start, ms)
    const byDefault = Math.min(DEFAULT_MIN_VALIDITY_MS, DEFAULT_MIN_VALIDITY_PART * ms)
    this.#minValidityMs = this.#achievableOr(policy.minValidityMs, byDefault)
    this.#scheduleRefresh(later(start, ms * policy.refreshAhead * (1 - REFRESH_SPREAD * policy.random())))
  }

  /** Whether it can be served and need not be refreshed. Allocates nothing, because most calls end here. */
  isFresh(clock: Clock): boolean {
    return clock.now() < this.#freshUntil.wall && clock.monotonic() < this.#freshUntil.monotonic
  }

  remainingMs(now: Instant): number {
    return untilMs(this.#expiresAt, now)
  }

  /** Whether a call with this `minValidityMs` can be served without waiting for a new token. */
  isServable(now: Instant, minValidityMs?: number): boolean {
    const remaining = this.remainingMs(now)
    return remaining > 0 && remaining >= this.#achievableOr(minValidityMs, this.#minValidityMs)
  }

  /** Whether it is time for a refresh, and none is in flight. */
  shouldRefresh(now: Instant): boolean {
    return !isBefore(now, this.#nextRefreshAt)
  }

  /** A refresh is in flight. */
  markRefreshing(): void {
    this.#failure = undefined
    this.#scheduleRefresh(NEVER)
  }

  /** A refresh failed: the next one waits, with full jitter, and never less than `retryAfterMs`. */
  recordFailure(now: Instant, error?: VKitError): void {
    const waitMs = backoffMs(this.#failures, BACKOFF, this.#random)
    // Where nothing was sent, nothing more is known.
    if (error?.attempts !== 0) this.#failures++
    this.#failure = error
    this.#scheduleRefresh(later(now, Math.max(waitMs, error?.retryAfterMs ?? 0)))
  }

  /** What the last refresh failed with, while it is too early for the next. */
  failureAt(now: Instant): VKitError | undefined {
    return isBefore(now, this.#nextRefreshAt) ? this.#failure : undefined
  }

  /** A `minValidityMs` that no token of this lifetime can meet would make every call mint. */
  #achievableOr(askedMs: number | undefined, otherwiseMs: number): number {
    return askedMs !== undefined && askedMs < this.#lifetimeMs ? askedMs : otherwiseMs
  }

  #scheduleRefresh(moment: Instant): void {
    const validUntil = later(this.#expiresAt, -this.#minValidityMs)
    this.#nextRefreshAt = moment
    this.#freshUntil = {
      wall: Math.min(moment.wall, validUntil.wall),
      monotonic: Math.min(moment.monotonic, validUntil.monotonic),
    }
  }
}

const NEVER: Instant = { wall: Infinity, monotonic: Infinity }
