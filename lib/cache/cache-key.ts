import type { LRUCache } from 'lru-cache'
import { DEFAULTS, makeLru } from '../core/lru.js'
import { plainJson } from '../core/plain-json.js'
import type { TokenRequest } from '../token/token-request.js'

/**
 * The identity itself where no scopes are asked for, else JSON.
 *
 * JSON arrays begin with a bracket, so an identity that does too is written as JSON: the two forms never meet.
 */
export function keyOf({ identity, scopes }: TokenRequest): string {
  return scopes.length === 0 ? plainKeyOf(identity) : plainJson([identity, scopes])
}

const BRACKET = '['.charCodeAt(0)

/** `keyOf` without scopes. */
export function plainKeyOf(identity: string): string {
  return identity.charCodeAt(0) === BRACKET ? plainJson([identity, []]) : identity
}

interface Remembered {
  readonly scopes: readonly string[]
  readonly key: string
}

/**
 * Remembers with which scopes each identity was last asked for, and their key.
 *
 * Checking scopes and writing the key anew would cost a hit twenty times the look-up.
 */
export class KeyMemo {
  readonly #last: LRUCache<string, Remembered>

  constructor(maxEntries: number) {
    this.#last = makeLru({ max: maxEntries })
  }

  /** The key for the very scopes that were remembered, in the same order. */
  find(identity: string, scopes: readonly unknown[]): string | undefined {
    // Not `get`: to forget the wrong one costs a key now and then, to move each to the front costs every hit.
    const last = this.#last.peek(identity, DEFAULTS)
    if (last?.scopes.length !== scopes.length) return undefined
    for (let i = 0; i < scopes.length; i++) {
      if (scopes[i] !== last.scopes[i]) return undefined
    }
    return last.key
  }

  /** `scopes` as they were given, which may be in any order; copied, for the array is the caller's. */
  remember(request: TokenRequest, scopes: readonly string[]): void {
    this.#last.set(request.identity, { scopes: [...scopes], key: keyOf(request) }, DEFAULTS)
  }

  clear(): void {
    this.#last.clear()
  }
}
