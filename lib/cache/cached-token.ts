import { backoffMs, type Backoff, type Random } from '../core/backoff.js'
import type { Clock } from '../core/clock.js'
import { isBefore, later, untilMs, type Instant, type Lifetime } from '../core/instant.js'
import type { VKitError } from '../core/vkit-error.js'
import type { SessionToken } from '../token/session-token.js'

/** Each refresh starts up to this fraction earlier, at random, to spread the refreshes of tokens minted together. */
const REFRESH_SPREAD = 0.2
const DEFAULT_MIN_VALIDITY_MS = 60_000
const DEFAULT_MIN_VALIDITY_FRACTION = 0.1
const FIRST_BACKOFF_MS = 1_000
const LONGEST_BACKOFF_MS = 30_000
const BACKOFF: Backoff = { firstMs: FIRST_BACKOFF_MS, longestMs: LONGEST_BACKOFF_MS }

export interface FreshnessPolicy {
  /** The fraction of a token's lifetime after which it is refreshed in the background. */
  readonly refreshAhead: number
  /**
   * If less than this is left, a call waits for a new token.
   *
   * Default: 60 s, or a tenth of the lifetime if that is less.
   */
  readonly minValidityMs?: number | undefined
  readonly random: Random
}

/**
 * A cached token, and what its age allows.
 *
 * The more pessimistic of two clocks decides its age: the wall clock can be set back, and the monotonic clock stops
 * while a machine sleeps.
 */
export class CachedToken {
  readonly token: SessionToken
  readonly #lifetimeMs: number
  readonly #expiresAt: Instant
  readonly #minValidityMs: number
  readonly #random: Random
  #nextRefreshAt!: Instant
  /** Until then, calls return the token and do nothing else. */
  #freshUntil!: Instant
  #failures = 0
  #failure: VKitError | undefined

  constructor(token: SessionToken, { start, ms }: Lifetime, policy: FreshnessPolicy) {
    this.token = token
    this.#random = policy.random
    this.#lifetimeMs = ms
    this.#expiresAt = later(start, ms)
    const byDefault = Math.min(DEFAULT_MIN_VALIDITY_MS, DEFAULT_MIN_VALIDITY_FRACTION * ms)
    this.#minValidityMs = this.#achievableOr(policy.minValidityMs, byDefault)
    this.#scheduleRefresh(later(start, ms * policy.refreshAhead * (1 - REFRESH_SPREAD * policy.random())))
  }

  /** Whether the token can be served without a refresh. This allocates nothing, because most calls end here. */
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

  /** Records that a refresh is in flight. */
  markRefreshing(): void {
    this.#failure = undefined
    this.#scheduleRefresh(NEVER)
  }

  /** Records a failed refresh. The next one waits, with full jitter, and at least for `retryAfterMs`. */
  recordFailure(now: Instant, error?: VKitError): void {
    const waitMs = backoffMs(this.#failures, BACKOFF, this.#random)
    // A refresh that sent nothing shows nothing new.
    if (error?.attempts !== 0) this.#failures++
    this.#failure = error
    this.#scheduleRefresh(later(now, Math.max(waitMs, error?.retryAfterMs ?? 0)))
  }

  /** Returns the error of the last refresh, while it is too early for the next one. */
  failureAt(now: Instant): VKitError | undefined {
    return isBefore(now, this.#nextRefreshAt) ? this.#failure : undefined
  }

  /**
   * Returns the default if no token of this lifetime can meet the requested validity: otherwise, every call would mint.
   */
  #achievableOr(requestedMs: number | undefined, defaultMs: number): number {
    return requestedMs !== undefined && requestedMs < this.#lifetimeMs ? requestedMs : defaultMs
  }

  #scheduleRefresh(time: Instant): void {
    const validUntil = later(this.#expiresAt, -this.#minValidityMs)
    this.#nextRefreshAt = time
    this.#freshUntil = {
      wall: Math.min(time.wall, validUntil.wall),
      monotonic: Math.min(time.monotonic, validUntil.monotonic),
    }
  }
}

const NEVER: Instant = { wall: Infinity, monotonic: Infinity }
