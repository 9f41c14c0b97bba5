import type { Deadline } from '../core/deadline.js'
import type { MintedToken, SessionToken } from '../token/session-token.js'
import type { TokenRequest } from '../token/token-request.js'
import type { Lease } from './leases.js'

/**
 * A store of records that processes share: `createRedisStore(client)`, or any object with Keyv's `get`, `set` and `delete`.
 *
 * With the four other methods, which come in pairs, the processes act as one: leases let one of them mint for all, and
 * messages let an invalidation reach all. Each may return a promise. Each may throw or reject, and may take any time.
 */
export interface TokenStore {
  /** Returns the last text that was set, or undefined or null, or a promise of it. */
  get(key: string): unknown
  /** Stores a text. `ttlMs` is always a positive whole number of milliseconds. */
  set(key: string, value: string, ttlMs: number): unknown
  /** Removes a text. The result is awaited but not used. */
  delete(key: string): unknown
  /**
   * Takes the lease of a key for `ttlMs` milliseconds if it is free, and extends it if `holder` has it. Returns whether
   * `holder` has it now.
   */
  acquireLease?(key: string, holder: string, ttlMs: number): boolean | Promise<boolean>
  /** Frees the lease of a key if `holder` has it. The result is awaited but not used. */
  releaseLease?(key: string, holder: string): unknown
  /** Sends a text to every process that is subscribed to `channel`, this one included. */
  publish?(channel: string, message: string): unknown
  /** Resolves when the messages of `channel` arrive. Rejects if they cannot. */
  subscribe?(channel: string, listener: StoreListener): Promise<StoreSubscription>
}

/** Receives what happens to a subscription, until it is closed. */
export interface StoreListener {
  /** Called for each message. */
  onMessage(message: string): void
  /** Called once, when messages can be missing. The client then closes the subscription, and subscribes again later. */
  onLost(): void
}

/** A subscription to the messages of a channel. It does not keep the process alive. */
export interface StoreSubscription {
  /** Rejects if messages no longer arrive. Called every few seconds, because a dead connection can be silent. */
  ping?(): unknown
  /** Ends the subscription. The result is awaited but not used. */
  close(): unknown
}

/** What the store has for a request. A record that cannot be used is absent. */
export type StoredToken = MintedToken | 'absent' | 'unreadable'

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
  write(request: TokenRequest, minted: MintedToken, isReload: boolean): Promise<void>
  /** The lease of a request, if processes coordinate their mints at the moment. */
  lease(request: TokenRequest): Lease | undefined
  /** Removes the tokens of a request, or only `sessionToken`, in all processes. */
  invalidate(request: TokenRequest, sessionToken?: string): Promise<void>
  /** Removes the record of a request. Other processes keep the tokens in their memory. */
  remove(request: TokenRequest): void
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
