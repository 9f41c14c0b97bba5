import type { Deadline } from '../core/deadline.js'
import type { MintedToken } from '../token/session-token.js'
import type { TokenRequest } from '../token/token-request.js'

/** The methods of Keyv that a shared store needs, so you can pass `new Keyv(new KeyvRedis(url))`. */
export interface TokenStore {
  /** Returns the last text that was set, or undefined or null, or a promise of it. */
  get(key: string): unknown
  /** Stores a text. `ttlMs` is always a positive whole number of milliseconds. */
  set(key: string, value: string, ttlMs: number): unknown
  /** Removes a text. The result is awaited but not used. */
  delete(key: string): unknown
}

/** Tokens that processes share. No method ever rejects: a failing store is a miss. */
export interface SharedStore {
  read(request: TokenRequest, deadline: Deadline): Promise<MintedToken | undefined>
  /** No call waits for it. */
  write(request: TokenRequest, minted: MintedToken): void
  /** With `sessionToken`: only if that token is stored. */
  remove(request: TokenRequest, sessionToken?: string): Promise<void>
  /** Resolves when all pending changes have been passed to the store. */
  flush(): Promise<void>
}
