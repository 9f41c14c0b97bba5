import type { Lifetime } from '../core/instant.js'
import type { Scope } from './token-request.js'

/** A token for one end user, frozen, safe for `res.json(token)`. It is that user's key: give it only to that user. */
export interface SessionToken {
  /** What the client SDKs start their session with. */
  readonly sessionToken: string
  /** RFC 3339, UTC. As the gateway wrote it where that could not be read; such a token is never cached. */
  readonly expiresAt: string
  /** The end user it was minted for, exactly as given to `getSessionToken`. */
  readonly identity: string
  /** The scopes asked for, sorted, each once. */
  readonly scopes: readonly Scope[]
}

export interface MintedToken {
  readonly token: SessionToken
  /** Missing where the token must not be cached. */
  readonly lifetime?: Lifetime
}
