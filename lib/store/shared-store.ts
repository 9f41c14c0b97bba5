import type { Deadline } from '../core/deadline.js'
import type { MintedToken, SessionToken } from '../token/session-token.js'
import type { TokenRequest } from '../token/token-request.js'
import type { Lease } from './lease.js'

/** What the store has for a request. A record that cannot be used is absent. */
export type StoredToken = MintedToken | 'absent' | 'unreadable'

/** A change that the store was asked for. */
export interface StoreChange {
  /** Settles when the store is done with it, in time or not; maybe never. */
  readonly settled: Promise<unknown>
}

/** Tokens that processes share. No method ever rejects: a failing store is a miss. */
export interface SharedStore {
  /** Sets who is told what other processes do. */
  listen(listener: FleetListener): void
  read(request: TokenRequest, deadline: Deadline): Promise<MintedToken | undefined>
  /** Reads what the store has now, without a call of the secret provider. */
  check(request: TokenRequest): Promise<StoredToken>
  /**
   * Stores a token. With `isReload`, the other processes drop their older tokens. Resolves when the store has it, or has
   * not accepted it in time; no call waits for that.
   */
  write(request: TokenRequest, minted: MintedToken, isReload: boolean): Promise<StoreChange | undefined>
  /** The lease of a request, if processes coordinate their mints at the moment. */
  lease(request: TokenRequest): Promise<Lease | undefined>
  /** Removes the tokens of a request, or only `sessionToken`, in all processes. */
  invalidate(request: TokenRequest, sessionToken?: string): Promise<void>
  /** Removes the record of a request. Other processes keep the tokens in their memory. No call waits for that. */
  remove(request: TokenRequest): Promise<StoreChange | undefined>
  /** Resolves when all pending changes have been passed to the store. */
  flush(): Promise<void>
  /** Ends the subscription, after `flush`. */
  close(): Promise<void>
}

/** An invalidation by another process. */
export interface ForeignInvalidation {
  readonly request: TokenRequest
  /** A flight that is at least this old may have begun before it. */
  readonly ageMs: number
  /** Whether a cached token is concerned. */
  readonly covers: (token: SessionToken, lifetimeMs: number) => boolean
}

/** Is told what other processes do. */
export interface FleetListener {
  /** Forgets what is concerned. Returns whether a cached token was. */
  onInvalidation(invalidation: ForeignInvalidation): boolean
  /** Invalidations may have been missed: cached tokens must be checked before they are returned again. */
  onGapEnd(): void
}
