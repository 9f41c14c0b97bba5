import type { Clock } from '../core/clock.js'
import { VKitClosedError, VKitTimeoutError } from '../core/errors.js'
import type { Events } from '../core/events.js'
import { instant, remainingMs } from '../core/instant.js'
import { VKitError } from '../core/vkit-error.js'
import type { PriorityLevel } from '../gateway/mint-priority.js'
import type { MintOptions } from '../gateway/token-minter.js'
import type { SharedStore } from '../store/shared-store.js'
import type { MintedToken, SessionToken } from '../token/session-token.js'
import type { Scope, TokenCall, TokenRequest } from '../token/token-request.js'
import { KeyMemo, keyOf, plainKeyOf } from './cache-key.js'
import { Flights, type Flight } from './flights.js'
import { TokenEntries, type TokenEntriesOptions } from './token-entries.js'

export interface TokenCacheOptions extends TokenEntriesOptions {
  readonly mint: (request: TokenRequest, options: MintOptions) => Promise<MintedToken>
  /** How long a mint took lately; undefined where that is not known. */
  readonly medianMintMs: () => number | undefined
  readonly deadlineMs: number
  readonly sharedStore?: SharedStore | undefined
}

/** A call that could be served with its old token waits for a new one no longer than the longer of these. */
const PART_OF_REMAINING = 0.5
const MEDIAN_MINTS = 4
/** Taken for the median until there was a mint. */
const UNKNOWN_MEDIAN_MS = 250

interface WaitingCall extends TokenCall {
  /** How long it waits for the flight, where that is less than its deadline. */
  readonly waitMs?: number
}

interface FlightPlan {
  readonly request: TokenRequest
  readonly priority: PriorityLevel
  readonly mustMint: boolean
  readonly minValidityMs: number | undefined
  /** Of the call that starts it. */
  readonly deadlineMs: number
}

/**
 * Keeps tokens, and knows when to serve, renew and forget them.
 *
 * One flight per key is pending at a time; callers wait for it, each with its own signal and deadline, and may leave
 * without ending it.
 */
export class TokenCache {
  readonly #options: TokenCacheOptions
  readonly #clock: Clock
  readonly #events: Events
  readonly #entries: TokenEntries
  readonly #keys: KeyMemo
  readonly #flights: Flights<MintedToken>
  /** What came from the shared store. */
  readonly #stored = new WeakSet<MintedToken>()
  #closed = false

  constructor(options: TokenCacheOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#events = options.events
    this.#flights = new Flights(options.clock)
    this.#keys = new KeyMemo(options.maxEntries)
    this.#entries = new TokenEntries(options)
  }

  get size(): number {
    return this.#entries.size
  }

  get inFlight(): number {
    return this.#flights.size
  }

  /**
   * The fast path: a token that may be served, where nothing else need be done. Arguments are as the caller gave them.
   *
   * It builds no key: without scopes the identity is the key, and others were noted by `remember`.
   */
  peek(identity: string, scopes?: readonly Scope[]): SessionToken | undefined {
    if (typeof identity !== 'string') return undefined
    const key = scopes === undefined ? plainKeyOf(identity) : this.#keys.find(identity, scopes)
    const entry = key === undefined ? undefined : this.#entries.use(key)
    if (!entry?.isFresh(this.#clock)) return undefined
    this.#events.hit()
    return entry.token
  }

  /** Lets `peek` know that `scopes`, as given, came to this request. */
  remember(request: TokenRequest, scopes: readonly Scope[]): void {
    this.#keys.remember(request, scopes)
  }

  async get(request: TokenRequest, call: TokenCall): Promise<SessionToken> {
    return this.find(request, call) ?? this.fetch(request, call)
  }

  /** A token that can be served without waiting; starts a background flight if it should be refreshed. */
  find(request: TokenRequest, call: TokenCall): SessionToken | undefined {
    if (call.mode !== 'default' || call.signal?.aborted) return undefined
    const key = keyOf(request)
    const entry = this.#entries.use(key)
    const now = instant(this.#clock)
    if (!entry?.isServable(now, call.minValidityMs)) return undefined
    this.#events.hit()
    if (entry.shouldRefresh(now)) this.#refresh(key, request)
    return entry.token
  }

  /** Gets the token that `find` did not return. */
  fetch(request: TokenRequest, call: TokenCall): Promise<SessionToken> {
    if (this.#closed) return Promise.reject(new VKitClosedError())
    if (call.signal?.aborted) return Promise.reject(call.signal.reason as Error)
    if (call.mode === 'no-store') return this.#getUncached(request, call)
    const key = keyOf(request)
    if (call.mode === 'reload') {
      const flight = this.#flights.get(key)
      // A flight whose request has not been sent brings a token that is as new, if it has enough time for this call.
      const hasTime = flight && flight.deadline.remainingMs() >= call.deadlineMs / 2
      if (hasTime && !flight.isSent) flight.mustMint = true
      else this.#flights.forget(key)
      return this.#getMinted(key, request, call)
    }
    return this.#entries.peek(key) ? this.#renew(key, request, call) : this.#getMinted(key, request, call)
  }

  /** With `sessionToken`: only if that is the token kept. */
  async invalidate(request: TokenRequest, sessionToken?: string): Promise<void> {
    this.#assertOpen()
    const key = keyOf(request)
    const entry = this.#entries.peek(key)
    if (sessionToken === undefined || entry?.token.sessionToken === sessionToken) {
      this.#flights.forget(key)
      this.#entries.delete(key)
      this.#events.emit({ type: 'invalidation' })
    }
    await this.#options.sharedStore?.remove(request, sessionToken)
  }

  /** Forgets every token and ends every flight with `VKIT_CLOSED`. */
  close(): void {
    this.#closed = true
    this.#flights.cancel(new VKitClosedError())
    this.#entries.clear()
    this.#keys.clear()
  }

  /** Asked again after an event: a listener may have closed the client. */
  #assertOpen(): void {
    if (this.#closed) throw new VKitClosedError()
  }

  #refresh(key: string, request: TokenRequest): void {
    this.#events.emit({ type: 'refresh' })
    if (this.#closed) return
    // No call waits for it; the flight itself emits the failure.
    const { deadlineMs } = this.#options
    void this.#joinFlight(key, { request, priority: 'refresh', mustMint: false, minValidityMs: undefined, deadlineMs })
  }

  /** A new token, or, while minting is slow or fails for a reason that may pass, the old one as long as it is valid. */
  async #renew(key: string, request: TokenRequest, call: TokenCall): Promise<SessionToken> {
    const kept = this.#entries.staleFallback(key, this.#entries.peek(key)?.failureAt(instant(this.#clock)))
    if (kept) {
      this.#events.hit()
      return kept
    }
    const waitMs = Math.min(call.deadlineMs, this.#maxWaitMs(key))
    try {
      return await this.#getMinted(key, request, { ...call, waitMs })
    } catch (error) {
      // What is kept now: while the call waited it may have been replaced, or forgotten.
      const old = call.signal?.aborted ? undefined : this.#entries.staleFallback(key, error)
      if (old) return old
      const isOwnTimeout = error instanceof VKitTimeoutError && error.attempts === 0
      if (!isOwnTimeout || waitMs === call.deadlineMs) throw error
      // The old token has expired earlier than expected, as it does where the machine slept.
      return await this.#getMinted(key, request, { ...call, deadlineMs: call.deadlineMs - waitMs })
    }
  }

  /** How long a call waits before it takes the old token: while that token lasts, a slow mint need not be waited for. */
  #maxWaitMs(key: string): number {
    const remainingMs = this.#entries.peek(key)?.remainingMs(instant(this.#clock)) ?? 0
    const medianMs = this.#options.medianMintMs() ?? UNKNOWN_MEDIAN_MS
    const waitMs = Math.max(PART_OF_REMAINING * remainingMs, MEDIAN_MINTS * medianMs)
    return waitMs < remainingMs ? waitMs : Infinity
  }

  async #getMinted(key: string, request: TokenRequest, call: WaitingCall): Promise<SessionToken> {
    this.#events.emit({ type: this.#flights.get(key) ? 'coalesced' : 'miss' })
    this.#assertOpen()
    const { deadlineMs, minValidityMs, waitMs = deadlineMs } = call
    const startedAt = this.#clock.monotonic()
    const isReload = call.mode === 'reload'
    const priority = call.isBulk ? 'bulk' : 'call'
    const plan = { request, priority, mustMint: isReload, minValidityMs, deadlineMs } as const
    const flight = this.#joinFlight(key, plan)
    const found = await this.#flights.wait(flight, { signal: call.signal, deadlineMs: waitMs })
    if (isReload || !this.#stored.has(found) || this.#entries.meetsMinValidity(found, minValidityMs))
      return this.#deliver(found, call)
    // The stored token met another caller's minValidityMs, not ours. As a reload the call comes here once.
    const leftMs = deadlineMs - (this.#clock.monotonic() - startedAt)
    return this.#renew(key, request, { ...call, mode: 'reload', deadlineMs: leftMs })
  }

  async #getUncached(request: TokenRequest, call: TokenCall): Promise<SessionToken> {
    this.#events.emit({ type: 'miss' })
    this.#assertOpen()
    const mint = (flight: Flight): Promise<MintedToken> =>
      this.#options.mint(request, flight).catch((error: unknown) => {
        this.#emitFailure(error)
        throw error
      })
    return this.#deliver(await this.#flights.runUnshared(call, mint), call)
  }

  #joinFlight(key: string, plan: FlightPlan): Flight {
    if (!this.#flights.get(key)) this.#entries.peek(key)?.markRefreshing()
    // Not the first caller's deadline alone: a short one must not end the wait of those who join.
    const deadlineMs = Math.max(this.#options.deadlineMs, plan.deadlineMs)
    return this.#flights.join(key, { deadlineMs, priority: plan.priority }, flight => this.#load(key, plan, flight))
  }

  async #load(key: string, plan: FlightPlan, flight: Flight): Promise<MintedToken> {
    const { mint, sharedStore } = this.#options
    const { request } = plan
    const { deadline, priority, isCurrent } = flight
    flight.mustMint ||= plan.mustMint
    try {
      const stored = flight.mustMint ? undefined : await this.#findStored(key, plan, flight)
      if (stored) return stored
      const minted = await mint(request, { deadline, priority, onSent: () => (flight.isSent = true) })
      if (isCurrent() && this.#entries.keep(key, minted)) sharedStore?.write(request, minted)
      return minted
    } catch (error) {
      this.#emitFailure(error, priority.level === 'refresh')
      if (isCurrent()) this.#recordFailure(key, request, error)
      throw error
    }
  }

  /** What the shared store has, where it is of use here. */
  async #findStored(key: string, plan: FlightPlan, flight: Flight): Promise<MintedToken | undefined> {
    const stored = await this.#options.sharedStore?.read(plan.request, flight.deadline)
    // A reload may have joined while the store was read.
    if (!stored || flight.mustMint || !this.#entries.isBetterThanCached(key, stored, plan.minValidityMs))
      return undefined
    // A reload that comes from now on must not join it.
    flight.isSent = true
    this.#events.emit({ type: 'store-hit' })
    this.#stored.add(stored)
    if (flight.isCurrent()) this.#entries.keep(key, stored)
    return stored
  }

  #emitFailure(error: unknown, background = false): void {
    if (!(error instanceof VKitError)) return
    const { code, retryable, attempts } = error
    this.#events.emit({ type: 'failure', code, retryable, attempts, background })
  }

  #recordFailure(key: string, request: TokenRequest, error: unknown): void {
    const isRevoked = this.#entries.recordFailure(key, error)
    if (!isRevoked) return
    void this.#options.sharedStore?.remove(request)
    this.#events.emit({ type: 'eviction', reason: 'refused' })
  }

  /** Emits an event if even a new token is valid for less than the call asked for: another would not be better. */
  #deliver({ token, lifetime }: MintedToken, call: TokenCall): SessionToken {
    const minValidityMs = call.minValidityMs ?? this.#options.minValidityMs
    if (lifetime && minValidityMs !== undefined) {
      const validityMs = remainingMs(lifetime, instant(this.#clock))
      if (validityMs < minValidityMs) this.#events.emit({ type: 'short-lived', validityMs, minValidityMs })
    }
    return token
  }
}
