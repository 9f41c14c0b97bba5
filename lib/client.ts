import { TokenBatch } from './batch/token-batch.js'
import { TokenCache } from './cache/token-cache.js'
import { fromCaller } from './core/caller-stack.js'
import { Drain } from './core/drain.js'
import { VKitArgumentError, VKitClosedError } from './core/errors.js'
import { Events } from './core/events.js'
import { LazyAbort } from './core/lazy-abort.js'
import { onAbort } from './core/on-abort.js'
import { PEEK } from './core/peek.js'
import { ProcessHold } from './core/process-hold.js'
import { WORK_ENDS_WITH_REQUEST } from './core/request-context.js'
import { Tracing, type VKitTraceOutcome } from './core/tracing.js'
import { copyError } from './core/vkit-error.js'
import type { CircuitState } from './gateway/circuit-breaker.js'
import { openTransport } from './gateway/open-transport.js'
import { TokenMinter } from './gateway/token-minter.js'
import type { ClientTransport } from './gateway/transport.js'
import { WarmUp } from './gateway/warm-up.js'
import {
  bulkCall,
  copyScopes,
  resolveBatch,
  resolveCall,
  resolveClose,
  resolveInvalidation,
  resolveRequest,
  resolveWarmUp,
  type ResolvedCall,
} from './options/call-options.js'
import { resolveClientOptions, type ResolvedOptions } from './options/client-options.js'
import type {
  CloseOptions,
  GetSessionTokenOptions,
  GetSessionTokensOptions,
  InvalidateOptions,
  SessionTokenResult,
  VKitClientOptions,
  WarmUpOptions,
} from './options/types.js'
import { EncryptedStore } from './store/encrypted-store.js'
import { loadRecordCrypto } from './store/record-crypto.js'
import type { SharedStore } from './store/shared-store.js'
import type { SessionToken } from './token/session-token.js'
import type { Scope, TokenRequest } from './token/token-request.js'

/** Counts since the client was created, and its current state. */
export interface ClientStats {
  /** Calls that returned a token from the cache. */
  readonly hits: number
  /** Calls that started a flight. */
  readonly misses: number
  /** Calls that joined a pending flight. */
  readonly coalesced: number
  /** Refreshes in the background. */
  readonly refreshes: number
  /** Tokens that the gateway minted. */
  readonly mints: number
  /** Attempts after the first of a mint. */
  readonly retries: number
  /** Mints that failed: after all their attempts, or without an attempt, such as while the circuit is open. */
  readonly failures: number
  /** Mints for which this process took the lease of the shared store. */
  readonly leasesTaken: number
  /** Mints that waited for the token of another process. */
  readonly leaseWaits: number
  /** Mints that waited in vain: the other process needed too long. */
  readonly leaseTimeouts: number
  /** Invalidations and reloads that were sent to the other processes of the shared store. */
  readonly invalidationsSent: number
  /** Invalidations and reloads that other processes sent. */
  readonly invalidationsReceived: number
  /** Tokens in the cache. */
  readonly entries: number
  /** Pending flights. */
  readonly inFlight: number
  /**
   * The state of the circuit. `closed`: mints are sent. `open`: the gateway fails for everyone, and mints fail
   * immediately. `half-open`: the next mint is a probe.
   */
  readonly circuit: CircuitState
  /**
   * The current maximum of requests in flight. It adapts to the capacity of the gateway. At the edge there is none:
   * `Infinity`.
   */
  readonly concurrencyLimit: number
  /** Mints that wait in the queue, because this maximum is reached. At the edge always 0. */
  readonly queued: number
  /**
   * Identities (with scopes) whose mints fail immediately, because the last one failed and its backoff has not ended.
   */
  readonly failingKeys: number
}

/**
 * The context of a call of `getSessionToken` on the `tracingChannel` `videokit:call`, unless the call returns a token of
 * the cache at once. It contains no secret, no token, no identity and no scopes.
 *
 * `attempts`, `status` and `requestId` are those of a failed mint.
 */
export interface VKitCallTrace extends VKitTraceOutcome {
  /** Whether the call joined a pending flight. If so, the mint is in the trace of the call that started the flight. */
  readonly coalesced: boolean
}

/**
 * The method of a `VKitClient` that a token endpoint calls. Any object with this method can take the place of a client: an
 * object that wraps one, or in your unit tests `{ getSessionToken: async () => token }`.
 */
export interface TokenSource {
  /** Returns a session token of one user. It must return a promise, because callers may use `then` and `catch`. */
  getSessionToken(identity: string, options?: GetSessionTokenOptions | readonly Scope[]): Promise<SessionToken>
}

/**
 * Gets session tokens of Video.io for your users.
 *
 * Create one client per app secret and use it for all calls: it contains the cache, the connections and the circuit. It
 * does not keep the process alive.
 *
 * ```ts
 * const vkit = new VKitClient({ appSecret })
 * const { sessionToken, expiresAt, identity } = await vkit.getSessionToken('END_USER_ID')
 * ```
 */
export class VKitClient implements TokenSource {
  readonly #options: ResolvedOptions
  readonly #events: Events
  readonly #transport: ClientTransport
  readonly #minter: TokenMinter
  readonly #sharedStore: SharedStore | undefined
  readonly #cache: TokenCache
  readonly #defaultCall: ResolvedCall
  readonly #hold = new ProcessHold()
  readonly #closing = new LazyAbort()
  readonly #draining = new LazyAbort()
  #drain: Drain | undefined
  readonly #warmUp: WarmUp
  readonly #tracing = new Tracing<VKitCallTrace>('videokit:call')

  static {
    const method: unknown = Reflect.get(this.prototype, 'getSessionToken')
    const peek = (client: object, identity: unknown, scopes: unknown): SessionToken | undefined =>
      // A wrapper may have this property too: a Proxy of the method, or a copy of all its properties.
      #cache in client && client.getSessionToken === method
        ? client.#cache.peek(identity, scopes, client.#defaultCall)
        : undefined
    Object.defineProperty(method, PEEK, { value: peek })
  }

  /** @throws VKitConfigError if an option is invalid. A missing app secret is reported by the first call. */
  constructor(options?: VKitClientOptions) {
    const resolved = resolveOptions(options)
    const events = new Events(resolved.onEvent)
    this.#options = resolved
    this.#events = events
    this.#transport = openTransport({ ...resolved, events })
    this.#minter = new TokenMinter({ ...resolved, transport: this.#transport, events })
    this.#sharedStore = resolved.store && new EncryptedStore({ ...resolved, store: resolved.store, events })
    this.#cache = this.#makeCache()
    this.#sharedStore?.listen(this.#cache)
    const loadMore = (): Promise<void> | undefined => (resolved.store ? loadRecordCrypto() : undefined)
    this.#warmUp = new WarmUp({ ...resolved, transport: this.#transport, loadMore, closing: this.#closing })
    this.#defaultCall = resolveCall(undefined, resolved)
  }

  /**
   * Returns a session token of one user: the cached one while it is valid, otherwise a new one.
   *
   * `identity` is your own unique ID of the user. It must never change: otherwise Video.io does not associate the
   * user's videos with the user. Take it from the authenticated session, never from a value that the caller can choose.
   *
   * @throws VKitArgumentError if the identity, a scope or an option is invalid
   * @throws VKitError of the other classes, see the table of errors; `signal.reason` if `signal` aborts
   */
  getSessionToken(identity: string, scopes?: readonly Scope[]): Promise<SessionToken>
  getSessionToken(identity: string, options?: GetSessionTokenOptions): Promise<SessionToken>
  async getSessionToken(
    identity: string,
    scopesOrOptions?: readonly Scope[] | GetSessionTokenOptions,
  ): Promise<SessionToken> {
    let call: ResolvedCall | undefined
    try {
      VKitClient.#assertClient(this, 'getSessionToken')
      // Most calls end here: without options, they need not be resolved.
      const known = this.#cache.peek(identity, scopesOrOptions, this.#defaultCall)
      if (known !== undefined) return known
      call = scopesOrOptions === undefined ? this.#defaultCall : resolveCall(scopesOrOptions, this.#options)
      const cached = this.#cache.peek(identity, call.scopes, call)
      if (cached !== undefined) return cached
      const request = this.#resolveRequest(identity, call)
      this.#assertOpen()
      const found = this.#cache.find(request, call)
      if (found !== undefined) return found
      this.#hold.begin()
      try {
        return await this.#fetch(request, call)
      } finally {
        this.#hold.end()
      }
    } catch (error) {
      throw isReason(error, call) ? error : atCaller(error, 'getSessionToken')
    }
  }

  /**
   * Does what the first mint would otherwise wait for, and mints nothing.
   *
   * It loads the code of a mint, reads the app secret, and opens one connection to the gateway, once and without a
   * retry. The connection stays open for the next mint, if the `agent` keeps connections alive. Calls during a warm-up
   * share it. Use it as a start-up probe, and never as a readiness probe: while the gateway is down, the client still
   * serves its cached tokens.
   *
   * @throws VKitArgumentError if an option is invalid; VKitConfigError, VKitConnectionError, VKitTimeoutError,
   * VKitClosedError; `signal.reason` if `signal` aborts
   */
  async warmUp(options?: WarmUpOptions): Promise<void> {
    let call: WarmUpOptions | undefined
    try {
      VKitClient.#assertClient(this, 'warmUp')
      call = resolveWarmUp(options)
      this.#assertOpen()
      await this.#hold.during(this.#warmUp.run(call.signal))
    } catch (error) {
      throw isReason(error, call) ? error : atCaller(error, 'warmUp')
    }
  }

  /**
   * Returns one result for each of many identities, in the order in which they complete.
   *
   * Memory is bounded, and `identities` can be infinite: the run reads it only as fast as you consume results. A
   * duplicate identity is minted once while its token is cached. With `cache: false`, the run uses its own cache of
   * 10,000 tokens. If an identity fails, its result is the error, and the run continues. In an outage the whole run
   * waits; a `Retry-After` of one identity delays only this identity. To end the run, break out of the loop.
   *
   * If the client is closed with `drainMs`, the run reads no more identities, and yields the results of those in flight.
   * An identity that waits for a retry gets its last error. The run then rejects with `VKIT_CLOSED`, unless
   * `identities` had ended. The drain waits for the loop to take these results.
   *
   * @throws VKitArgumentError if an option is invalid, VKitConfigError if no mint can succeed, VKitClosedError;
   * `signal.reason` if `signal` aborts; errors of `identities`, after the pending results
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
      // An error of the source, or a signal's reason, belongs to the caller.
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
    const requestOf = (identity: string): TokenRequest => ({ ...resolveRequest(identity, undefined), scopes })
    const call = bulkCall(deadlineMs)
    const batch = new TokenBatch({
      ...plan,
      concurrencyLimit: () => this.#minter.concurrencyLimit,
      responses: () => this.#minter.responses,
      hasCallers: () => this.#minter.hasCallers,
      findToken: identity => cache.find(requestOf(identity), call),
      getToken: async (identity, { signal, isReference }) =>
        cache.fetch(requestOf(identity), { ...call, signal, mode: isReference ? 'no-store' : 'default' }),
      signals: signal ? [signal, this.#closing.signal] : [this.#closing.signal],
      draining: this.#draining.signal,
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
   * Removes the token of an identity and a set of scopes from the cache. A token that is in flight is not cached
   * either.
   *
   * The token itself stays valid until it expires, because the gateway cannot revoke tokens.
   *
   * @throws VKitArgumentError if the identity, a scope or an option is invalid
   */
  async invalidate(identity: string, options?: InvalidateOptions): Promise<void> {
    try {
      VKitClient.#assertClient(this, 'invalidate')
      const { request, sessionToken } = resolveInvalidation(identity, options)
      this.#assertOpen()
      await this.#hold.during(this.#cache.invalidate(request, sessionToken))
    } catch (error) {
      throw atCaller(error, 'invalidate')
    }
  }

  /** Returns a snapshot of the counts and the state, fast enough for every scrape of a metrics endpoint. */
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
      leasesTaken: count('lease-taken'),
      leaseWaits: count('lease-wait'),
      leaseTimeouts: count('lease-timeout'),
      invalidationsSent: count('invalidation-sent'),
      invalidationsReceived: count('invalidation-received'),
      entries: this.#cache.size,
      inFlight: this.#cache.inFlight,
      ...this.#minter.stats,
    }
  }

  /**
   * Removes all tokens, rejects pending calls with `VKIT_CLOSED`, and closes the connections. Later calls reject.
   *
   * With `drainMs`, the client first lets what is pending end, for at most that time: calls with their retries,
   * refreshes in the background, and writes to the store. New calls reject with `VKIT_CLOSED` at once, even if their
   * token is cached. The process stays alive until the returned promise resolves. If `close` is called again meanwhile,
   * the earliest end applies; without `drainMs`, that is now.
   *
   * @throws VKitArgumentError if `drainMs` is missing or invalid
   */
  async close(options?: CloseOptions): Promise<void> {
    try {
      VKitClient.#assertClient(this, 'close')
      if (options !== undefined) await this.#drainFor(resolveClose(options))
    } catch (error) {
      throw atCaller(error, 'close')
    }
    this.#drain?.end()
    try {
      this.#closing.abort(new VKitClosedError())
    } finally {
      // Older versions of workerd refuse to abort what another request uses.
      this.#cache.close()
      this.#transport.close()
    }
    // Before the caller closes the connection to the store.
    await this.#sharedStore?.close()
  }

  async #drainFor({ drainMs }: CloseOptions): Promise<void> {
    if (drainMs === 0 || this.#closing.signal.aborted) return
    if (!this.#drain) {
      this.#cache.hide()
      // Runs take their hold before the drain looks for one.
      this.#draining.abort(new VKitClosedError())
      this.#drain = new Drain(this.#options.clock, this.#whenIdle())
    }
    await this.#drain.wait(drainMs)
  }

  /** @throws VKitClosedError during and after a drain; after any other `close`, the cache refuses the call. */
  #assertOpen(): void {
    if (this.#drain) throw new VKitClosedError()
  }

  /** Resolves when nothing is pending. Callers come first, because they start flights, and flights start writes. */
  async #whenIdle(): Promise<void> {
    // A request that has ended never ends its hold.
    if (!WORK_ENDS_WITH_REQUEST) await this.#hold.idle()
    await this.#cache.idle()
    await this.#sharedStore?.flush()
  }

  /** @throws VKitArgumentError if a method was detached from its client, or called on a proxy of the client */
  static #assertClient(value: unknown, method: string): void {
    if (typeof value === 'object' && value !== null && #cache in value) return
    throw new VKitArgumentError(
      `${method} was called without its client: call it as client.${method}(…), or bind it first. A Proxy of a client does not work.`,
    )
  }

  #resolveRequest(identity: string, { scopes, mode }: ResolvedCall): TokenRequest {
    const pending = this.#cache.pendingRequest(identity, scopes)
    if (pending) return pending
    const given = copyScopes(scopes)
    const request = resolveRequest(identity, given)
    if (given !== undefined && mode === 'default') this.#cache.remember(request, given as readonly Scope[])
    return request
  }

  #fetch(request: TokenRequest, call: ResolvedCall): Promise<SessionToken> {
    if (!this.#tracing.hasSubscribers) return this.#cache.fetch(request, call)
    return this.#tracing.trace(
      { coalesced: false },
      add => this.#cache.fetch(request, { ...call, onJoin: () => add({ coalesced: true }) }),
      reason => isReason(reason, call),
    )
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

/** Whether `error` is the reason of the caller's signal, which is passed on unchanged. */
function isReason(error: unknown, call: Pick<ResolvedCall, 'signal'> | undefined): boolean {
  try {
    return call?.signal?.aborted === true && call.signal.reason === error
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
