import { DEFAULTS, makeLru } from '../core/lru.js'
import type { MintedToken } from '../token/session-token.js'

/** What must not come back from the store: everything that was minted until a moment, or one token. */
interface Tombstone {
  readonly untilMs?: number
  readonly sessionToken?: string
  /** The token that this process has stored since. */
  readonly renewed?: string
}

const MAX_TOMBSTONES = 10_000

/**
 * What this process has invalidated, by the key of its request.
 *
 * The store may lose a removal, or be late with it; this process at least does not take back what it has forgotten.
 */
export class Tombstones {
  readonly #tombstones = makeLru<Tombstone>({ max: MAX_TOMBSTONES })

  /** Everything that was minted until `untilMs`, by the wall clock. */
  addUntil(key: string, untilMs: number): void {
    this.#tombstones.set(key, { untilMs }, DEFAULTS)
  }

  addToken(key: string, sessionToken: string): void {
    this.#tombstones.set(key, { ...this.#tombstones.get(key, DEFAULTS), sessionToken }, DEFAULTS)
  }

  /** Notes that this process stores `sessionToken` now, which is not to be refused for the time of its minting. */
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
