import type { TokenRequest } from '../token/token-request.js'

/** Tokens that no process may use any more: one token, or all of a request that were minted until a time. */
export interface Invalidation {
  readonly request: TokenRequest
  /** By the gateway's clock. */
  readonly untilMs: number
  /** The HMAC of the only token that is concerned. */
  readonly tokenMac?: string | undefined
}

/** What another process invalidated. */
export interface ReceivedInvalidation extends Omit<Invalidation, 'tokenMac'> {
  /** Recognizes the only token that is concerned. */
  readonly isToken: ((sessionToken: string) => boolean) | undefined
}

/** What this process invalidated. */
export interface OwnInvalidation extends Omit<Invalidation, 'tokenMac'> {
  /** The only token that is concerned. */
  readonly sessionToken: string | undefined
}
