import { DEFAULTS, makeLru } from '../core/lru.js'
import type { MintedToken } from '../token/session-token.js'

/** What must not come back from the store: all tokens that were minted until a time, or one token. */
interface Tombstone {
  readonly untilMs?: number
  readonly sessionToken?: string
  /** The token that this process has stored afterwards. */
  readonly renewed?: string
}

const MAX_TOMBSTONES = 10_000

/**
 * The invalidations of this process, by the key of the request.
 *
 * The store may lose or delay a removal. This process nevertheless does not read an invalidated token again.
 */
export class Tombstones {
  readonly #tombstones = makeLru<Tombstone>({ max: MAX_TOMBSTONES })

  /** Adds all tokens that were minted until `untilMs`, by the wall clock. */
  addUntil(key: string, untilMs: number): void {
    this.#tombstones.set(key, { untilMs }, DEFAULTS)
  }

  addToken(key: string, sessionToken: string): void {
    this.#tombstones.set(key, { ...this.#tombstones.get(key, DEFAULTS), sessionToken }, DEFAULTS)
  }

  /** Records that this process stores `sessionToken` now, which must be accepted whatever the time of its mint. */
  noteRenewal(key: string, sessionToken: string): void {
    const tombstone = this.#tombstones.get(key, DEFAULTS)
    if (tombstone) this.#tombstones.set(key, { ...tombstone, renewed: sessionToken }, DEFAULTS)
  }

  covers(key: string, { token, lifetime }: MintedToken): boolean {
    const tombstone = this.#tombstones.get(key, DEFAULTS)
    if (!tombstone) return false
    const { untilMs = -Infinity, sessionToken, renewed } = tombstone
    if (token.sessionToken === sessionToken) return true
    return token.sessionToken !== renewed && (lifetime?.start.wall ?? 0) <= untilMs
  }
}
