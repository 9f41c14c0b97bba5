import { DEFAULTS, makeLru } from '../core/lru.js'

/** What must not come back from the store: all tokens that were minted until a time, or one token. */
interface Tombstone {
  /** By the gateway's clock. */
  readonly untilMs: number | undefined
  readonly isToken: ((sessionToken: string) => boolean) | undefined
}

/** A token, and what is known of its mint. */
export interface DatedToken {
  readonly sessionToken: string
  /** By the gateway's clock. */
  readonly mintedAtMs: number
  /** The `untilMs` of the last invalidation that its process knew before the mint. */
  readonly afterMs?: number | undefined
}

const MAX_TOMBSTONES = 10_000
/** Two processes know the gateway's time from its `Date`, which has whole seconds (RFC 9110, section 5.6.7). */
export const TOLERANCE_MS = 2_000

/**
 * The invalidations that this process knows, by the key of the request.
 *
 * The store may lose or delay a removal. This process nevertheless does not read an invalidated token again.
 */
export class Tombstones {
  readonly #tombstones = makeLru<Tombstone>({ max: MAX_TOMBSTONES })

  /** Adds all tokens that were minted until `untilMs`. Returns false if they were added before. */
  addUntil(key: string, untilMs: number): boolean {
    const known = this.#tombstones.get(key, DEFAULTS)
    if (known?.untilMs !== undefined && known.untilMs >= untilMs) return false
    this.#tombstones.set(key, { isToken: known?.isToken, untilMs }, DEFAULTS)
    return true
  }

  /** Adds one token. */
  addToken(key: string, isToken: (sessionToken: string) => boolean): void {
    this.#tombstones.set(key, { untilMs: this.untilMs(key), isToken }, DEFAULTS)
  }

  /** The time until which all tokens of this key are invalidated. */
  untilMs(key: string): number | undefined {
    return this.#tombstones.get(key, DEFAULTS)?.untilMs
  }

  /** Whether a token must not be used. */
  covers(key: string, token: DatedToken): boolean {
    const tombstone = this.#tombstones.get(key, DEFAULTS)
    if (!tombstone) return false
    const { untilMs = -Infinity, isToken } = tombstone
    return isToken?.(token.sessionToken) === true || isMintedUntil(untilMs, token)
  }
}

/**
 * Whether a token may have been minted before `untilMs`.
 *
 * The clocks of processes differ a little, but one that knew the invalidation when it minted is certain.
 */
export function isMintedUntil(untilMs: number, { mintedAtMs, afterMs = -Infinity }: DatedToken): boolean {
  return afterMs < untilMs && mintedAtMs <= untilMs + TOLERANCE_MS
}
