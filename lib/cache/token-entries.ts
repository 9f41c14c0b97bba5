import type { LRUCache } from 'lru-cache'
import type { Clock } from '../core/clock.js'
import type { Events } from '../core/events.js'
import { instant, later } from '../core/instant.js'
import { DEFAULTS, makeLru } from '../core/lru.js'
import { VKitError } from '../core/vkit-error.js'
import type { MintedToken, SessionToken } from '../token/session-token.js'
import { CachedToken, type FreshnessPolicy, type Generation } from './cached-token.js'

export interface TokenEntriesOptions extends FreshnessPolicy {
  readonly maxEntries: number
  readonly clock: Clock
  readonly events: Events
}

/** In the gateway's format, these statuses mean that the user may no longer have the access granted before. */
const REVOKED_STATUSES = new Set([403, 410])

/** The cached tokens, and the rules for which one replaces another. */
export class TokenEntries {
  readonly #options: TokenEntriesOptions
  readonly #clock: Clock
  readonly #entries: LRUCache<string, CachedToken>
  #generation: Generation

  constructor(options: TokenEntriesOptions) {
    this.#options = options
    this.#clock = options.clock
    const { refreshAhead, minValidityMs, random } = options
    this.#generation = { refreshAhead, minValidityMs, random, isSuspect: false }
    this.#entries = makeLru({
      max: options.maxEntries,
      // Emitted after disposal, because a listener may call the client, and so this cache.
      disposeAfter: (_entry, _key, reason) => {
        if (reason === 'evict') options.events.emit({ type: 'eviction', reason: 'capacity' })
      },
    })
  }

  get generation(): Generation {
    return this.#generation
  }

  get size(): number {
    return this.#entries.size
  }

  /** Returns the entry that a call is about to be served from, and marks it as used. */
  use(key: string): CachedToken | undefined {
    return this.#entries.get(key, DEFAULTS)
  }

  peek(key: string): CachedToken | undefined {
    return this.#entries.peek(key, DEFAULTS)
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }

  clear(): void {
    this.#entries.clear()
  }

  /** Makes every entry suspect, and every token whose mint has begun. */
  suspectAll(): void {
    this.#generation.isSuspect = true
    this.#generation = { ...this.#generation, isSuspect: false }
  }

  /** Caches a token, of the generation in which its mint began. Returns whether the token could be cached. */
  set(key: string, { token, lifetime }: MintedToken, generation: Generation = this.#generation): boolean {
    const now = instant(this.#clock)
    const entry = lifetime && new CachedToken(token, lifetime, generation)
    const remainingMs = entry?.remainingMs(now) ?? 0
    if (entry && remainingMs > 0 && remainingMs < Infinity) {
      this.#entries.set(key, entry, DEFAULTS)
      return true
    }
    // Otherwise, every call would start another refresh.
    this.peek(key)?.recordFailure(now)
    return false
  }

  /** Records why an entry got no new token. If the gateway has revoked the entry, deletes it and returns true. */
  recordFailure(key: string, error: unknown): boolean {
    const entry = this.peek(key)
    if (!entry) return false
    const known = error instanceof VKitError ? error : undefined
    if (!isRevocation(known)) {
      entry.recordFailure(instant(this.#clock), known)
      return false
    }
    this.#entries.delete(key)
    return true
  }

  /** Records that the refresh in flight showed nothing: an access after `waitMs` may start another. */
  endRefresh(key: string, waitMs: number): void {
    this.peek(key)?.endRefresh(later(instant(this.#clock), waitMs))
  }

  meetsMinValidity({ token, lifetime }: MintedToken, minValidityMs?: number): boolean {
    return (
      !lifetime || new CachedToken(token, lifetime, this.#generation).isServable(instant(this.#clock), minValidityMs)
    )
  }

  /** Whether another process's token can be served, and for longer than the cached one. */
  isBetterThanCached(key: string, { token, lifetime }: MintedToken, minValidityMs?: number): boolean {
    if (!lifetime) return false
    const now = instant(this.#clock)
    const theirs = new CachedToken(token, lifetime, this.#generation)
    if (!theirs.isServable(now, minValidityMs)) return false
    const ours = this.peek(key)
    // Our own token is not newer when it comes back, whatever the clocks of other processes say.
    if (ours?.token.sessionToken === token.sessionToken) return false
    return !ours || theirs.remainingMs(now) > ours.remainingMs(now)
  }

  /** Returns the cached token, if it has not expired and the failure to replace it is retryable. */
  staleFallback(key: string, error: unknown): SessionToken | undefined {
    if (!(error instanceof VKitError) || !error.retryable) return undefined
    const entry = this.peek(key)
    if (!entry) return undefined
    const remainingMs = entry.remainingMs(instant(this.#clock))
    if (remainingMs <= 0) return undefined
    this.#options.events.emit({ type: 'served-while-failing', code: error.code, remainingMs })
    return entry.token
  }
}

/**
 * Whether an error revokes an entry.
 *
 * A response in another format, such as a proxy's page, says nothing about the user.
 */
function isRevocation(error: VKitError | undefined): boolean {
  return error?.status !== undefined && REVOKED_STATUSES.has(error.status) && error.code !== 'VKIT_INVALID_RESPONSE'
}
