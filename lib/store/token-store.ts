/**
 * A store of records that processes share: `createRedisStore(client)`, or any object with Keyv's `get`, `set` and `delete`.
 *
 * With the four other methods, which come in pairs, the processes act as one: leases let one of them mint for all, and
 * messages let an invalidation reach all. Each may return a promise. Each may throw or reject, and may take any time.
 *
 * At the edge, the client calls none of these four: no lease or subscription outlives the request that starts it.
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
