/**
 * A permission of a session token. These nine are known from SDK 0.0.6. The client sends any other string unchanged,
 * because the gateway may support more.
 */
export type Scope =
  | 'videos.admin.read'
  | 'videos.read'
  | 'videos.edit'
  | 'videos.delete'
  | 'videos.create'
  | 'streams.admin.read'
  | 'streams.read'
  | 'streams.create'
  | 'streams.delete'
  | (string & {})

/** The identity and the scopes of a token; the scopes are sorted and without duplicates. */
export interface TokenRequest {
  readonly identity: string
  readonly scopes: readonly Scope[]
}

/** How a call uses the cache, with the names of `fetch`. */
export type CacheMode = 'default' | 'reload' | 'no-store'

/** Keeps the platform's process alive until a piece of work ends. */
export type WaitUntil = (work: Promise<unknown>) => void

/** The limits of the attempts of a mint. */
export interface AttemptLimits {
  /** The timeout of one attempt. */
  readonly timeoutMs: number
  /** Attempts after the first; 0 means exactly one attempt. */
  readonly maxRetries: number
}

/**
 * The validated options of one call.
 *
 * A call has all of them as own properties, because `Object.prototype` may have any property.
 */
export interface TokenCall {
  readonly mode: CacheMode
  readonly deadlineMs: number
  readonly minValidityMs?: number | undefined
  /** Undefined: the limits of the client. */
  readonly limits?: AttemptLimits | undefined
  readonly signal?: AbortSignal | undefined
  /** Whether the call is one of a batch, which must not delay other calls. */
  readonly isBulk?: boolean
  /** Called if the call joins a pending flight. */
  readonly onJoin?: (() => void) | undefined
  /** Receives the work that the call starts and that may go on after it. */
  readonly waitUntil?: WaitUntil | undefined
}
