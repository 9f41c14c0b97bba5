import type { Lifetime } from '../core/instant.js'
import type { Scope } from './token-request.js'

/** A session token of one user, frozen, and safe for `res.json(token)`. Return it only to that user. */
export interface SessionToken {
  /** The credential with which the client SDKs start a session. */
  readonly sessionToken: string
  /**
   * The expiry: RFC 3339 in UTC. If it was not readable, the unchanged text of the gateway; such a token is never
   * cached.
   */
  readonly expiresAt: string
  /** The user of the token, exactly as passed to `getSessionToken`. */
  readonly identity: string
  /** The requested scopes, sorted and without duplicates. */
  readonly scopes: readonly Scope[]
}

export interface MintedToken {
  readonly token: SessionToken
  /** Undefined if the token must not be cached. */
  readonly lifetime?: Lifetime
}
