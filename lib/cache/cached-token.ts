import { backoffMs, type Backoff, type Random } from '../core/backoff.js'
import type { Clock } from '../core/clock.js'
import { instant, isBefore, later, type Instant, type Lifetime } from '../core/instant.js'
import { MAX_SILENCE_MS } from '../core/request-context.js'
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
 * The policy of the tokens that were cached since the last gap in the invalidations of other processes.
 *
 * A new gap takes a new one: so the many entries of the cache need not be visited, and none needs a field for it.
 */
export interface Generation extends FreshnessPolicy {
  /** Whether its tokens must be checked against the shared store before they are returned. */
  isSuspect: boolean
}

interface Refresh {
  /** When the next refresh may start; never while one is in flight, unless that can end unnoticed. */
  readonly nextAt: Instant
  readonly failures: number
  /** Why the last one failed. */
  readonly error?: VKitError | undefined
}

/**
 * A cached token, and what its age allows.
 *
 * The more pessimistic of two clocks decides its age: the wall clock can be set back, and the monotonic clock stops
 * while a machine sleeps.
 *
 * A cache has very many of these, so each is one object with few fields until its first refresh. V8 stores whole numbers
 * below 2³¹ in the field, and allocates others; a private method would take a field too.
 */
export class CachedToken {
  readonly token: SessionToken
  #policy: Generation
  readonly #lifetimeMs: number
  readonly #expiresAtWall: number
  readonly #expiresAtMonotonic: number
  /** The first refresh starts when this much is left. */
  readonly #refreshLeftMs: number
  /** The last refresh; undefined before the first one. */
  #refresh: Refresh | undefined

  constructor(token: SessionToken, { start, ms }: Lifetime, policy: Generation) {
    this.token = token
    this.#policy = policy
    this.#lifetimeMs = ms
    this.#expiresAtWall = start.wall + ms
    this.#expiresAtMonotonic = Math.floor(start.monotonic + ms)
    const refreshAfterMs = ms * policy.refreshAhead * (1 - REFRESH_SPREAD * policy.random())
    this.#refreshLeftMs = Math.floor(ms - refreshAfterMs)
  }

  /** Whether the token can be served without a refresh. Most calls end here. */
  isFresh(clock: Clock): boolean {
    if (this.#policy.isSuspect) return false
    const now = instant(clock)
    return !this.shouldRefresh(now) && this.remainingMs(now) > minValidityMs(this.#lifetimeMs, this.#policy)
  }

  /** Whether it must be checked against the shared store, because another process may have invalidated it. */
  get isSuspect(): boolean {
    return this.#policy.isSuspect
  }

  /** Records that it was checked. */
  confirm(generation: Generation): void {
    this.#policy = generation
  }

  /** Whether `covers` is true of this token and its lifetime. */
  isCovered(covers: (token: SessionToken, lifetimeMs: number) => boolean): boolean {
    return covers(this.token, this.#lifetimeMs)
  }

  remainingMs(now: Instant): number {
    return Math.min(this.#expiresAtWall - now.wall, this.#expiresAtMonotonic - now.monotonic)
  }

  /** Whether a call with this `minValidityMs` can be served without waiting for a new token. */
  isServable(now: Instant, ofCall?: number): boolean {
    const remaining = this.remainingMs(now)
    return remaining > 0 && remaining >= minValidityMs(this.#lifetimeMs, this.#policy, ofCall)
  }

  /** Whether it is time for a refresh, and none is in flight. */
  shouldRefresh(now: Instant): boolean {
    return this.#refresh ? !isBefore(now, this.#refresh.nextAt) : this.remainingMs(now) <= this.#refreshLeftMs
  }

  /** Records that a refresh is in flight. */
  markRefreshing(now: Instant): void {
    this.endRefresh(later(now, MAX_SILENCE_MS))
  }

  /** Records that the refresh ended and showed nothing. The next one starts at `nextAt` at the earliest. */
  endRefresh(nextAt: Instant): void {
    this.#refresh = { nextAt, failures: this.#refresh?.failures ?? 0 }
  }

  /** Records a failed refresh. The next one waits, with full jitter, and at least for `retryAfterMs`. */
  recordFailure(now: Instant, error?: VKitError): void {
    const failures = this.#refresh?.failures ?? 0
    const waitMs = Math.max(backoffMs(failures, BACKOFF, this.#policy.random), error?.retryAfterMs ?? 0)
    // A refresh that sent nothing shows nothing new.
    const counts = error?.attempts !== 0
    this.#refresh = { nextAt: later(now, waitMs), failures: counts ? failures + 1 : failures, error }
  }

  /** Returns the error of the last refresh, while it is too early for the next one. */
  failureAt(now: Instant): VKitError | undefined {
    return this.shouldRefresh(now) ? undefined : this.#refresh?.error
  }
}

/**
 * Returns the first of the call's, the client's and the default validity that a token of this lifetime can meet:
 * otherwise, every call would mint.
 */
function minValidityMs(
  lifetimeMs: number,
  { minValidityMs: ofClient = Infinity }: FreshnessPolicy,
  ofCall = Infinity,
): number {
  if (ofCall < lifetimeMs) return ofCall
  if (ofClient < lifetimeMs) return ofClient
  return Math.min(DEFAULT_MIN_VALIDITY_MS, DEFAULT_MIN_VALIDITY_FRACTION * lifetimeMs)
}
