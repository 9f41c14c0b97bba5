/// <reference lib="esnext.disposable" preserve="true" />
import { TokenBatch } from './batch/token-batch.js'
import { TokenCache } from './cache/token-cache.js'
import { fromCaller } from './core/caller-stack.js'
import { VKitArgumentError, VKitClosedError } from './core/errors.js'
import { Events } from './core/events.js'
import { onAbort } from './core/on-abort.js'
import { ProcessHold } from './core/process-hold.js'
import { copyError } from './core/vkit-error.js'
import type { CircuitState } from './gateway/circuit-breaker.js'
import { GotTransport } from './gateway/got-transport.js'
import { TokenMinter } from './gateway/token-minter.js'
import { resolveBatch, resolveCall, resolveInvalidation, resolveRequest } from './options/call-options.js'
import { resolveClientOptions, type ResolvedOptions } from './options/client-options.js'
import type {
  GetSessionTokenOptions,
  GetSessionTokensOptions,
  InvalidateOptions,
  SessionTokenResult,
  VKitClientOptions,
} from './options/types.js'
import { EncryptedStore } from './store/encrypted-store.js'
import type { SharedStore } from './store/shared-store.js'
import type { SessionToken } from './token/session-token.js'
import type { Scope } from './token/token-request.js'

/** What the client has done since it was made, and how it stands. */
export interface ClientStats {
  /** Calls answered from the cache. */
  readonly hits: number
  /** Calls that started a flight. */
  readonly misses: number
  /** Calls that joined one. */
  readonly coalesced: number
  /** Background flights. */
  readonly refreshes: number
  /** Tokens that the gateway minted. */
  readonly mints: number
  /** Attempts after the first of a mint. */
  readonly retries: number
  /** Mints that failed for good. */
  readonly failures: number
  /** Tokens in the cache. */
  readonly entries: number
  /** Flights under way. */
  readonly inFlight: number
  /** `open`: the gateway failed for everyone, and mints fail at once. */
  readonly circuit: CircuitState
  /** Requests that may be in flight to the gateway at a time: it adapts to what the gateway can do. */
  readonly concurrencyLimit: number
  /** Mints that wait for one of those places. */
  readonly queued: number
  /** Identities (with scopes) whose mints fail at once, because the last one failed and its backoff is not over. */
  readonly failingKeys: number
}

/**
 * Hands each end user of yours a Video.io session token.
 *
 * Make one per app secret and keep it: the cache, the connections and the knowledge of an outage live in it. It holds no
 * timer and keeps no process alive.
 *
 * ```ts
 * const vkit = new VKitClient({ appSecret })
 * const { sessionToken, expiresAt, identity } = await vkit.getSessionToken('END_USER_ID')
 * ```
 */
export class VKitClient {
  readonly #options: ResolvedOptions
  readonly #events: Events
  readonly #transport: GotTransport
  readonly #minter: TokenMinter
  readonly #sharedStore: SharedStore | undefined
  readonly #cache: TokenCache
  readonly #hold = new ProcessHold()
  readonly #closing = new AbortController()

  /** @throws VKitConfigError on a bad option. A missing secret is found at the first call. */
  constructor(options?: VKitClientOptions) {
    const resolved = resolveOptions(options)
    const events = new Events(resolved.onEvent)
    this.#options = resolved
    this.#events = events
    this.#transport = new GotTransport({ ...resolved, events })
    this.#minter = new TokenMinter({ ...resolved, transport: this.#transport, events })
    this.#sharedStore = resolved.store && new EncryptedStore({ ...resolved, store: resolved.store, events })
    this.#cache = this.#makeCache()
  }

  /**
   * The session token of one end user: from the cache while it is fresh, else minted.
   *
   * `identity` is any string of your own that is unique to the user; the same user must always get the same one, or their
   * videos are not associated with them. Take it from your authentication, never from the request.
   *
   * @throws VKitArgumentError on a bad identity, scope or option
   * @throws VKitError of any other class, as the table of errors tells; `signal.reason` where `signal` aborts
   */
  getSessionToken(identity: string, scopes?: readonly Scope[]): Promise<SessionToken>
  getSessionToken(identity: string, options?: GetSessionTokenOptions): Promise<SessionToken>
  async getSessionToken(
    identity: string,
    scopesOrOptions?: readonly Scope[] | GetSessionTokenOptions,
  ): Promise<SessionToken> {
    try {
      VKitClient.#assertClient(this, 'getSessionToken')
      const scopes = isScopes(scopesOrOptions) ? scopesOrOptions : undefined
      if (scopes === scopesOrOptions) {
        const token = this.#peek(identity, scopes)
        if (token !== undefined) return token
      }
      const { request, call } = resolveCall(identity, scopesOrOptions, this.#options)
      if (scopes !== undefined && call.mode === 'default') this.#cache.remember(request, scopes)
      return this.#cache.find(request, call) ?? (await this.#hold.during(this.#cache.fetch(request, call)))
    } catch (error) {
      throw isReason(error, scopesOrOptions) ? error : atCaller(error, 'getSessionToken')
    }
  }

  /**
   * A token for each of many identities, as they come: not in the order of `identities`, one result for each.
   *
   * Memory is bounded and `identities` may be endless: it is pulled no faster than results are consumed. What comes twice
   * is minted once as long as the cache keeps it; with `cache: false` the run has a cache of its own, for 10,000.
   * An identity that fails gives its error, and the run goes on; an outage makes all of it wait, and what the gateway asks of
   * one identity with `Retry-After` only that one.
   * Breaking out of the loop ends the run.
   *
   * @throws VKitArgumentError on a bad option, VKitConfigError where no mint could succeed, VKitClosedError; `signal.reason`
   * where `signal` aborts; what `identities` throws, after the results under way
   */
  async *getSessionTokens(
    identities: Iterable<string> | AsyncIterable<string>,
    options?: GetSessionTokensOptions,
  ): AsyncGenerator<SessionTokenResult, void, undefined> {
    try {
      VKitClient.#assertClient(this, 'getSessionTokens')
      for await (const result of this.#runBatch(identities, options)) {
        if (result.error) atCaller(result.error, 'getSessionTokens')
        yield result
      }
    } catch (error) {
      // An error of the source, or a signal's reason, is the caller's own.
      if (error instanceof VKitClosedError) throw atCaller(copyError(error), 'getSessionTokens')
      throw error instanceof VKitArgumentError ? atCaller(error, 'getSessionTokens') : error
    }
  }

  async *#runBatch(
    identities: Iterable<string> | AsyncIterable<string>,
    options: GetSessionTokensOptions | undefined,
  ): AsyncGenerator<SessionTokenResult, void, undefined> {
    const { scopes, signal, ...plan } = resolveBatch(identities, options)
    const { clock, deadlineMs, caching } = this.#options
    const cache = caching ? this.#cache : this.#makeCache()
    const leave = onAbort(this.#closing.signal, () => cache.close())
    const batch = new TokenBatch({
      ...plan,
      getToken: async (identity, cancel) => {
        const request = { ...resolveRequest(identity, undefined), scopes }
        return cache.get(request, { mode: 'default', deadlineMs, signal: cancel, isBulk: true })
      },
      signals: signal ? [signal, this.#closing.signal] : [this.#closing.signal],
      clock,
      hold: this.#hold,
    })
    try {
      yield* batch.run(identities)
    } finally {
      leave()
      if (cache !== this.#cache) cache.close()
    }
  }

  /**
   * Forgets what `getSessionToken` would return for the same identity and scopes; a token under way is not kept either.
   *
   * The token itself stays valid until it expires: the gateway has no way to revoke it.
   *
   * @throws VKitArgumentError on a bad identity, scope or option
   */
  async invalidate(identity: string, options?: InvalidateOptions): Promise<void> {
    try {
      VKitClient.#assertClient(this, 'invalidate')
      const { request, sessionToken } = resolveInvalidation(identity, options)
      await this.#hold.during(this.#cache.invalidate(request, sessionToken))
    } catch (error) {
      throw atCaller(error, 'invalidate')
    }
  }

  /** Counts since the client was made; a snapshot, cheap enough for every scrape of a metrics endpoint. */
  stats(): ClientStats {
    VKitClient.#assertClient(this, 'stats')
    const count = this.#events.count.bind(this.#events)
    return {
      hits: count('hit'),
      misses: count('miss'),
      coalesced: count('coalesced'),
      refreshes: count('refresh'),
      mints: count('mint'),
      retries: count('retry'),
      failures: count('failure'),
      entries: this.#cache.size,
      inFlight: this.#cache.inFlight,
      ...this.#minter.stats,
    }
  }

  /** Forgets every token, ends what is under way with `VKIT_CLOSED`, and closes the connections. Later calls reject. */
  async close(): Promise<void> {
    VKitClient.#assertClient(this, 'close')
    this.#closing.abort(new VKitClosedError())
    this.#cache.close()
    this.#transport.close()
    // Before the caller closes the connection to the store.
    await this.#sharedStore?.flush()
  }

  /** @throws VKitArgumentError where a method was taken from its client, or called on a proxy of one */
  static #assertClient(value: unknown, method: string): void {
    if (typeof value === 'object' && value !== null && #cache in value) return
    throw new VKitArgumentError(
      `${method} was called without its client: call it as client.${method}(…), or bind it first. A Proxy of a client does not work.`,
    )
  }

  /** A proxy in place of the scopes may throw: then they are checked, which says so. */
  #peek(identity: string, scopes: readonly Scope[] | undefined): SessionToken | undefined {
    try {
      return this.#cache.peek(identity, scopes)
    } catch {
      return undefined
    }
  }

  #makeCache(): TokenCache {
    const mint = this.#minter.mint.bind(this.#minter)
    const medianMintMs = (): number | undefined => this.#minter.medianMs
    const events = this.#events
    return new TokenCache({ ...this.#options, mint, medianMintMs, sharedStore: this.#sharedStore, events })
  }

  /** `close()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function atCaller(error: unknown, method: Exclude<keyof VKitClient, symbol>): unknown {
  return fromCaller(error, Reflect.get(VKitClient.prototype, method))
}

/** A signal's reason is the caller's own, whatever it is: it is passed on as it came. */
function isReason(error: unknown, scopesOrOptions: readonly Scope[] | GetSessionTokenOptions | undefined): boolean {
  try {
    return (
      !isScopes(scopesOrOptions) && scopesOrOptions?.signal?.aborted === true && scopesOrOptions.signal.reason === error
    )
  } catch {
    return false
  }
}

function resolveOptions(options: VKitClientOptions | undefined): ResolvedOptions {
  try {
    return resolveClientOptions(options)
  } catch (error) {
    throw fromCaller(error, VKitClient)
  }
}

/** `Array.isArray` does not tell TypeScript of readonly arrays, and throws on a revoked proxy, which is then refused. */
function isScopes(
  scopesOrOptions: readonly Scope[] | GetSessionTokenOptions | undefined,
): scopesOrOptions is readonly Scope[] {
  try {
    return Array.isArray(scopesOrOptions)
  } catch {
    return false
  }
}
