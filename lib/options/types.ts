import type { Clock } from '../core/clock.js'
import type { VKitEventListener } from '../core/events.js'
import type { VKitError } from '../core/vkit-error.js'
import type { SecretProvider } from '../secret/app-secret.js'
import type { TokenStore } from '../store/shared-store.js'
import type { SessionToken } from '../token/session-token.js'
import type { CacheMode, Scope } from '../token/token-request.js'

/** How tokens are kept between calls. */
export interface CacheOptions {
  /** Tokens kept at most; the least recently used leaves first. Default 10,000. */
  readonly maxEntries?: number | undefined
  /** The part of a token's life, above 0 and at most 1, after which it is refreshed in the background. Default 0.5. */
  readonly refreshAhead?: number | undefined
  /** No token with less left is served while a new one can be had. Default: 60 s or a tenth of the token's life, whichever is less. */
  readonly minValidityMs?: number | undefined
  /** Shares tokens between processes, encrypted: anything with Keyv's `get`, `set(key, value, ttlMs)` and `delete`. */
  readonly store?: TokenStore | undefined
}

/** Every option of a client; all have a default but the secret. Durations are in milliseconds. */
export interface VKitClientOptions {
  /**
   * The app secret (dashboard: Apps → Your App → API TOKEN), or a function that gives it. It grants full control of your
   * application: never send it to a client. Default: the environment's `VKIT_APP_SECRET`, read at the first call.
   */
  readonly appSecret?: string | SecretProvider | undefined
  /**
   * Where the gateway is: https, or http on a loopback host. Default: the environment's `VKIT_BASE_URL`, read at the
   * first call, else `https://gateway.video.io`.
   */
  readonly baseUrl?: string | URL | undefined
  /** One attempt, from its turn to the last byte of the body; making the connection counts. Default 5,000. */
  readonly timeoutMs?: number | undefined
  /** The whole call: secret provider, store, attempts and the waits between them. Default 15,000. */
  readonly deadlineMs?: number | undefined
  /** Attempts after the first; 0 means exactly one attempt. Default 2. */
  readonly maxRetries?: number | undefined
  /**
   * Requests that may be in flight at most. How many are is adapted to what the gateway can do, from 50 at first; an `agent`
   * with fewer `maxSockets` lowers it. Default 400.
   */
  readonly maxConnections?: number | undefined
  /** How tokens are kept between calls; `false`: not at all, every call mints. Default: kept, as below. */
  readonly cache?: false | CacheOptions | undefined
  /**
   * Node agents (`http.Agent`, `https.Agent`) for proxies and custom CAs; closed by you. One that does not check
   * certificates is refused. Proxy variables of the environment are not read. Default: own ones, with kept-alive connections.
   */
  readonly agent?: { readonly http?: object | undefined; readonly https?: object | undefined } | undefined
  /** Told what happens inside; never given a secret, a token or an identity. What it throws is ignored. */
  readonly onEvent?: VKitEventListener | undefined
  /** Where time comes from; for tests. Default: the machine's clocks. */
  readonly clock?: Clock | undefined
}

/** Options of one call. */
export interface GetSessionTokenOptions {
  /** What the token allows its bearer to do. Default: none asked for, `[]` is sent. */
  readonly scopes?: readonly Scope[] | undefined
  /** Ends the wait of this call with `signal.reason`; others who wait for the same token are not affected. */
  readonly signal?: AbortSignal | undefined
  /** This call's deadline. Default: the client's. */
  readonly deadlineMs?: number | undefined
  /** The token must be valid for at least this long, if possible. Default: the client's. */
  readonly minValidityMs?: number | undefined
  /** `'reload'`: mint a new one, and keep it. `'no-store'`: mint a new one, and keep nothing. Default: `'default'`. */
  readonly cache?: CacheMode | undefined
}

/** What a run of `getSessionTokens` does while the gateway does not answer. */
export type OutageMode = 'wait' | 'fail'

/** Options of a run over many identities. */
export interface GetSessionTokensOptions {
  /** Identities under way at a time, 1 to 1,000. They wait while calls of users need the client's connections. Default 16. */
  readonly concurrency?: number | undefined
  /** For every one of the identities. Default: none. */
  readonly scopes?: readonly Scope[] | undefined
  /** Ends the run with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
  /**
   * `wait`: failures that may pass (an outage, a rate limit) are tried again until they do, or five times while others succeed. `fail`: each is the result of
   * its identity. Default `wait`.
   */
  readonly onOutage?: OutageMode | undefined
  /** How long `wait` waits for a first success before it goes on as `fail` does, until something succeeds. Default 600,000. */
  readonly maxOutageMs?: number | undefined
}

/** What became of one of many identities: a `token` or an `error`. */
export type SessionTokenResult =
  | { readonly identity: string; readonly token: SessionToken; readonly error?: undefined }
  | { readonly identity: string; readonly error: VKitError; readonly token?: undefined }

/** Which of an identity's tokens to forget. */
export interface InvalidateOptions {
  /** Those that the token was asked for with. Default: none. */
  readonly scopes?: readonly Scope[] | undefined
  /** Forget only this very session token: what has replaced it meanwhile is kept. */
  readonly token?: string | undefined
}
