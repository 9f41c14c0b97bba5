import type { Deadline } from '../core/deadline.js'
import type { MintedToken } from '../token/session-token.js'
import type { TokenRequest } from '../token/token-request.js'

/** The part of Keyv that a shared store needs: `new Keyv(new KeyvRedis(url))` fits as it is. */
export interface TokenStore {
  /** The text last set, or nothing; a promise of it too. */
  get(key: string): unknown
  /** `ttlMs` is always a positive whole number of milliseconds. */
  set(key: string, value: string, ttlMs: number): unknown
  /** What it returns is ignored, but waited for. */
  delete(key: string): unknown
}

/** Tokens that several processes share. None of its methods ever rejects: a store in trouble is a miss. */
export interface SharedStore {
  read(request: TokenRequest, deadline: Deadline): Promise<MintedToken | undefined>
  /** No call waits for it. */
  write(request: TokenRequest, minted: MintedToken): void
  /** With `sessionToken`: only if that is the token kept. */
  remove(request: TokenRequest, sessionToken?: string): Promise<void>
  /** Resolves when all that was to be written has been handed to the store. */
  flush(): Promise<void>
}
