import type { Clock } from '../core/clock.js'
import type { VKitEventListener } from '../core/events.js'
import type { VKitError } from '../core/vkit-error.js'
import type { Fetch } from '../gateway/transport.js'
import type { SecretProvider } from '../secret/app-secret.js'
import type { TokenStore } from '../store/token-store.js'
import type { SessionToken } from '../token/session-token.js'
import type { CacheMode, Scope } from '../token/token-request.js'

/** How the client caches tokens. */
export interface CacheOptions {
  /** The maximum number of cached tokens; the least recently used is removed first. Default 10,000. */
  readonly maxEntries?: number | undefined
  /**
   * The fraction of the lifetime, above 0 and at most 1, after which a token is refreshed in the background. Default
   * 0.5.
   */
  readonly refreshAhead?: number | undefined
  /**
   * If a token is valid for less than this, a call waits for a new one, if possible. Default: 60 s or a tenth of the
   * token's lifetime, whichever is less.
   */
  readonly minValidityMs?: number | undefined
  /**
   * Shares encrypted tokens between processes: `createRedisStore(client)` of `@video-io/videokit-nodejs/redis`, or any
   * object with the `get`, `set(key, value, ttlMs)` and `delete` of Keyv.
   */
  readonly store?: TokenStore | undefined
}

/**
 * The options of a client. All are optional, except that the app secret must be set here or in the environment.
 * Durations are in milliseconds.
 */
export interface VKitClientOptions {
  /**
   * The app secret (dashboard: Apps → Your App → API TOKEN), or a function that returns it. It gives full control of
   * your application: never send it to an app or a page. Default: `VKIT_APP_SECRET` of the environment, read at the
   * first call.
   */
  readonly appSecret?: string | SecretProvider | undefined
  /**
   * The URL of the gateway: https, or http on a loopback host. With an app secret that an emulator created, http on any
   * host. Default: `VKIT_BASE_URL` of the environment, read at the first call, otherwise `https://gateway.video.io`.
   */
  readonly baseUrl?: string | URL | undefined
  /** The time limit of one attempt: connecting, sending the request and reading the response. Default 5,000. */
  readonly timeoutMs?: number | undefined
  /** The time limit of a call: secret provider, store, queue, attempts and the waits between them. Default 15,000. */
  readonly deadlineMs?: number | undefined
  /** The maximum number of retries after the first attempt; 0 means one attempt. Default 2. */
  readonly maxRetries?: number | undefined
  /**
   * The maximum number of requests in flight. The client starts with 50 and adapts the number to the capacity of the
   * gateway. An `agent` with a lower `maxSockets` lowers the maximum. Default 400.
   */
  readonly maxConnections?: number | undefined
  /** How the client caches tokens. With `false`, every call mints. Default: cached, with the cache options below. */
  readonly cache?: false | CacheOptions | undefined
  /**
   * Node agents (`http.Agent`, `https.Agent`) for proxies and custom CAs. The client does not close them. It rejects an
   * agent that does not check certificates. Without `https`, the client uses `HTTPS_PROXY` if Node does
   * (`NODE_USE_ENV_PROXY=1`). Not at the edge, which has no sockets. Default: agents of the client, with kept-alive
   * connections.
   */
  readonly agent?: { readonly http?: object | undefined; readonly https?: object | undefined } | undefined
  /**
   * At the edge only: the function that sends requests to the gateway, such as `(...args) => env.GATEWAY.fetch(...args)` of
   * a service binding. It must not follow redirects on its own. Default: the global `fetch`.
   */
  readonly fetch?: Fetch | undefined
  /** Receives events, which never contain a secret, a token or an identity. Errors that it throws are ignored. */
  readonly onEvent?: VKitEventListener | undefined
  /** The clock, for tests. Default: the clocks of the machine. */
  readonly clock?: Clock | undefined
}

/** Options of one call. */
export interface GetSessionTokenOptions {
  /** The permissions of the token. Default: none; the client sends `[]`, and the gateway decides. */
  readonly scopes?: readonly Scope[] | undefined
  /** Aborts this call, which then rejects with `signal.reason`. Other calls for the same token continue. */
  readonly signal?: AbortSignal | undefined
  /** The time limit of this call. Default: `deadlineMs` of the client. */
  readonly deadlineMs?: number | undefined
  /**
   * The time limit of one attempt. If several calls wait for one mint, the largest of their values applies, from the next
   * attempt on. Default: `timeoutMs` of the client.
   */
  readonly timeoutMs?: number | undefined
  /**
   * The maximum number of retries; 0 means one attempt. If several calls wait for one mint, the largest of their values
   * applies. Default: `maxRetries` of the client.
   */
  readonly maxRetries?: number | undefined
  /** The minimum remaining validity of the token, if possible. Default: `cache.minValidityMs` of the client. */
  readonly minValidityMs?: number | undefined
  /**
   * `'reload'` mints a new token and caches it. `'no-store'` mints a new token and does not cache it. Default:
   * `'default'`.
   */
  readonly cache?: CacheMode | undefined
  /**
   * Receives the work that may go on after this call, for platforms that stop a process after its response:
   * `work => ctx.waitUntil(work)`. It is a refresh in the background, or a mint that this call starts and others can join,
   * each with its write to the shared store. The promise never rejects. Errors that the function throws are ignored.
   * Default: nothing waits for this work.
   */
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined
}

/** What `getSessionTokens` does while the gateway is unavailable. */
export type OutageMode = 'wait' | 'fail'

/** The options of `getSessionTokens`. */
export interface GetSessionTokensOptions {
  /**
   * The maximum number of identities in flight, 1 to 1,000. There are fewer if the gateway cannot handle so many, and at most
   * 16 at the edge. Default 1,000.
   */
  readonly concurrency?: number | undefined
  /** The permissions of every token. Default: none. */
  readonly scopes?: readonly Scope[] | undefined
  /** Aborts the run, which then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
  /**
   * `wait`: retries temporary failures (an outage, a rate limit) until they end, or five times while other identities
   * succeed. `fail`: returns each failure as the result of its identity. Default `wait`.
   */
  readonly onOutage?: OutageMode | undefined
  /** The time without a success after which `wait` acts like `fail`, until a mint succeeds. Default 600,000. */
  readonly maxOutageMs?: number | undefined
}

/** The result of one identity: a `token` or an `error`. */
export type SessionTokenResult =
  | { readonly identity: string; readonly token: SessionToken; readonly error?: undefined }
  | { readonly identity: string; readonly error: VKitError; readonly token?: undefined }

/** The options of `warmUp`. */
export interface WarmUpOptions {
  /** Aborts this call, which then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
}

/** The options of `close`. */
export interface CloseOptions {
  /** How long pending work may take to end before the client is closed, in milliseconds. 0 closes it now. */
  readonly drainMs: number
}

/** Which token of an identity to remove. */
export interface InvalidateOptions {
  /** The scopes that the token was requested with. Default: none. */
  readonly scopes?: readonly Scope[] | undefined
  /** Removes the cached token only if it is this session token. A newer one stays in the cache. */
  readonly token?: string | undefined
}
