import type { LRUCache } from 'lru-cache'
import { backoffMs, type Backoff, type Random } from '../core/backoff.js'
import type { Clock } from '../core/clock.js'
import { DEFAULTS, makeLru } from '../core/lru.js'
import { copyError, type RefusedBy, type VKitError } from '../core/vkit-error.js'

const FIRST_KEY_BACKOFF_MS = 200
const LONGEST_KEY_BACKOFF_MS = 30_000
/** If nothing else has succeeded meanwhile, it may be an outage, and its end should be noticed. */
const LONGEST_OUTAGE_BACKOFF_MS = 5_000
const BACKOFF: Backoff = { firstMs: FIRST_KEY_BACKOFF_MS, longestMs: LONGEST_KEY_BACKOFF_MS, jitter: 0.5 }
const OUTAGE_BACKOFF: Backoff = { ...BACKOFF, longestMs: LONGEST_OUTAGE_BACKOFF_MS }

interface Remembered {
  readonly error: VKitError
  readonly failures: number
  /** When the first of these failures occurred. */
  readonly since: number
  readonly until: number
  /** Whether our backoff set `until`, and not the gateway's `Retry-After`. */
  readonly isBackoff: boolean
}

export interface FailureMemoryOptions {
  /** The `refusedBy` of the errors that it returns. */
  readonly refusedBy: RefusedBy
  readonly maxEntries: number
  readonly clock: Clock
  readonly random: Random
}

/** Remembers how the last mint of a key failed, and refuses the next ones until a backoff or its `Retry-After` ends. */
export class FailureMemory {
  readonly #options: FailureMemoryOptions
  readonly #entries: LRUCache<string, Remembered>

  constructor(options: FailureMemoryOptions) {
    this.#options = options
    this.#entries = makeLru({ max: options.maxEntries })
  }

  /** The number of keys that are refused now. */
  get size(): number {
    const now = this.#options.clock.monotonic()
    let size = 0
    for (const { until } of this.#entries.values()) if (until > now) size++
    return size
  }

  /** Whether the last mint of this key failed, no matter how long ago. */
  has(key: string): boolean {
    return this.#entries.has(key, DEFAULTS)
  }

  /** Returns the error that refuses a mint of this key now, or undefined. `retryAfterOnly`: ignores our own backoff. */
  refusalOf(key: string, retryAfterOnly = false): VKitError | undefined {
    const entry = this.#entries.peek(key, DEFAULTS)
    if (!entry || (retryAfterOnly && entry.isBackoff)) return undefined
    const waitMs = entry.until - this.#options.clock.monotonic()
    if (waitMs <= 0) return undefined
    const { refusedBy } = this.#options
    return copyError(entry.error, { attempts: 0, retryAfterMs: Math.ceil(waitMs), refusedBy })
  }

  /**
   * Records a failure. Returns for how many milliseconds the key is refused from now on.
   *
   * `succeededAt` is when any key last succeeded; it is missing if an outage is not possible.
   */
  record(key: string, error: VKitError, succeededAt?: number): number {
    const { clock, random } = this.#options
    const now = clock.monotonic()
    const latest = this.#entries.peek(key, DEFAULTS)
    // An old failure does not count.
    const before = latest && now - latest.until > LONGEST_KEY_BACKOFF_MS ? undefined : latest
    const leftMs = before ? before.until - now : 0
    // Mints that were sent together fail together and count once.
    const failures = (before?.failures ?? 0) - (leftMs > 0 ? 1 : 0)
    const since = before?.since ?? now
    const backoff = (succeededAt ?? Infinity) < since ? OUTAGE_BACKOFF : BACKOFF
    const { retryAfterMs } = error
    const isBackoff = retryAfterMs === undefined
    const waitForMs = retryAfterMs ?? (leftMs > 0 ? 0 : backoffMs(failures, backoff, random))
    const entry: Remembered =
      before && leftMs > waitForMs
        ? { ...before, error, failures: failures + 1 }
        : { error, failures: failures + 1, since, until: now + waitForMs, isBackoff }
    this.#entries.set(key, entry, DEFAULTS)
    return entry.until - now
  }

  forget(key: string): void {
    this.#entries.delete(key)
  }

  /** Forgets every failure except those with a `Retry-After` of the gateway. */
  forgetBackoffs(): void {
    this.#forgetWhere(({ isBackoff }) => isBackoff)
  }

  forgetUnauthenticated(): void {
    this.#forgetWhere(({ error }) => error.code === 'VKIT_UNAUTHENTICATED')
  }

  #forgetWhere(matches: (entry: Remembered) => boolean): void {
    for (const [key, entry] of [...this.#entries.entries()]) if (matches(entry)) this.#entries.delete(key)
  }
}
