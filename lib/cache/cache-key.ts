import type { LRUCache } from 'lru-cache'
import { copyText } from '../core/copy-text.js'
import { DEFAULTS, makeLru } from '../core/lru.js'
import { plainJson } from '../core/plain-json.js'
import type { TokenRequest } from '../token/token-request.js'

/**
 * Returns the identity itself if no scopes are requested, otherwise JSON.
 *
 * A JSON array begins with a bracket, so an identity that begins with one is written as JSON: the two forms never
 * collide.
 */
export function keyOf({ identity, scopes }: TokenRequest): string {
  return scopes.length === 0 ? plainKeyOf(identity) : plainJson([identity, scopes])
}

const BRACKET = '['.charCodeAt(0)

/** `keyOf` for a request without scopes. */
export function plainKeyOf(identity: string): string {
  return identity.charCodeAt(0) === BRACKET ? plainJson([identity, []]) : identity
}

interface Remembered {
  readonly scopes: readonly string[]
  readonly key: string
}

/**
 * Remembers the scopes that each identity was last requested with, and their key.
 *
 * If a hit checked the scopes and built the key again, that would cost twenty times the look-up.
 */
export class KeyMemo {
  readonly #maxEntries: number
  /** Created when it is needed, because it takes 24 bytes for each entry that it could have. */
  #last: LRUCache<string, Remembered> | undefined

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries
  }

  /**
   * Returns the key if `scopes` are exactly the remembered ones, in the same order.
   *
   * Returns undefined for a proxy that throws: the validation then reports it.
   */
  find(identity: string, scopes: unknown): string | undefined {
    try {
      if (!Array.isArray(scopes)) return undefined
      // `peek`, because a key that must be built again now and then costs less than a move to the front on every hit.
      const last = this.#last?.peek(identity, DEFAULTS)
      if (last?.scopes.length !== scopes.length) return undefined
      for (let i = 0; i < scopes.length; i++) {
        if (scopes[i] !== last.scopes[i]) return undefined
      }
      return last.key
    } catch {
      return undefined
    }
  }

  /** Stores the key for `scopes` as passed, in any order. All is copied, because it belongs to the caller. */
  remember(request: TokenRequest, scopes: readonly string[]): void {
    this.#last ??= makeLru({ max: this.#maxEntries })
    this.#last.set(request.identity, { scopes: scopes.map(copyText), key: keyOf(request) }, DEFAULTS)
  }

  clear(): void {
    this.#last?.clear()
  }
}
