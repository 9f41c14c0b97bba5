import type { LRUCache } from 'lru-cache'
import type { Clock } from '../core/clock.js'
import type { Deadline } from '../core/deadline.js'
import { VKitClosedError } from '../core/errors.js'
import type { Events } from '../core/events.js'
import { instant, remainingMs } from '../core/instant.js'
import { DEFAULTS, makeLru } from '../core/lru.js'
import { VKitError } from '../core/vkit-error.js'
import type { SharedStore } from '../store/shared-store.js'
import type { MintedToken, SessionToken } from '../token/session-token.js'
import type { Scope, TokenCall, TokenRequest } from '../token/token-request.js'
import { KeyMemo, keyOf, plainKeyOf } from './cache-key.js'
import { CachedToken, type FreshnessPolicy } from './cached-token.js'
import { Flights, type Flight } from './flights.js'

export interface TokenCacheOptions extends FreshnessPolicy {
  /** Calls `onSent` when its first request has been sent. */
  readonly mint: (request: TokenRequest, deadline: Deadline, onSent?: () => void) => Promise<MintedToken>
  readonly maxEntries: number
  readonly deadlineMs: number
  readonly sharedStore?: SharedStore | undefined
  readonly clock: Clock
  readonly events: Events
}

/** In the contract's format these say that the user may no longer have what was granted before. */
const REFUSED = new Set([403, 410])

interface FlightPlan {
  readonly request: TokenRequest
  /** Nobody waits for it. */
  readonly background: boolean
  readonly mustMint: boolean
  readonly minValidityMs: number | undefined
  /** Of the call that starts it. */
  readonly deadlineMs: number
}

/**
 * Keeps tokens, and knows when to serve, renew and forget them.
 *
 * One flight per key is under way at a time; callers wait for it, each with its own signal and deadline, and may leave
 * without ending it.
 */
export class TokenCache {
  readonly #options: TokenCacheOptions
  readonly #clock: Clock
  readonly #events: Events
  readonly #entries: LRUCache<string, CachedToken>
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
    this.#entries = makeLru({
      max: options.maxEntries,
      // After, and not while: a listener may call the client, and so this cache.
      disposeAfter: (_entry, _key, reason) => {
        if (reason === 'evict') this.#events.emit({ type: 'eviction', reason: 'capacity' })
      },
    })
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
   * It builds no key: without scopes the identity is one, and others are those that `remember` was told of.
   */
  peek(identity: string, scopes?: readonly Scope[]): SessionToken | undefined {
    if (typeof identity !== 'string') return undefined
    const key = scopes === undefined ? plainKeyOf(identity) : this.#keys.find(identity, scopes)
    const entry = key === undefined ? undefined : this.#entries.get(key, DEFAULTS)
    if (!entry?.isQuiet(this.#clock)) return undefined
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

  /** What may be served without waiting. Where it is time for another, a background flight sets out for it. */
  find(request: TokenRequest, call: TokenCall): SessionToken | undefined {
    if (call.mode !== 'default' || call.signal?.aborted) return undefined
    const key = keyOf(request)
    const entry = this.#entries.get(key, DEFAULTS)
    const now = instant(this.#clock)
    if (!entry?.isServable(now, call.minValidityMs)) return undefined
    this.#events.hit()
    if (entry.isDue(now)) this.#refresh(key, request)
    return entry.token
  }

  /** What `find` does not find. */
  fetch(request: TokenRequest, call: TokenCall): Promise<SessionToken> {
    if (this.#closed) return Promise.reject(new VKitClosedError())
    if (call.signal?.aborted) return Promise.reject(call.signal.reason as Error)
    if (call.mode === 'no-store') return this.#getUncached(request, call)
    const key = keyOf(request)
    if (call.mode === 'reload') {
      const flight = this.#flights.get(key)
      // One whose request is still to be sent brings a token that is as new, if it has the time that this call has.
      const hasTime = flight && flight.deadline.remainingMs() >= call.deadlineMs / 2
      if (hasTime && !flight.isSent) flight.mustMint = true
      else this.#flights.forget(key)
      return this.#getMinted(key, request, call)
    }
    return this.#entries.peek(key, DEFAULTS) ? this.#renew(key, request, call) : this.#getMinted(key, request, call)
  }

  /** With `sessionToken`: only if that is the token kept. */
  async invalidate(request: TokenRequest, sessionToken?: string): Promise<void> {
    this.#assertOpen()
    const key = keyOf(request)
    const entry = this.#entries.peek(key, DEFAULTS)
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
    // Nobody waits for it; the flight itself tells what went wrong.
    const { deadlineMs } = this.#options
    void this.#launch(key, { request, background: true, mustMint: false, minValidityMs: undefined, deadlineMs })
  }

  /** A new token, or, while minting fails for a reason that may pass, the old one as long as it is valid. */
  async #renew(key: string, request: TokenRequest, call: TokenCall): Promise<SessionToken> {
    const kept = this.#findOld(key, this.#entries.peek(key, DEFAULTS)?.failureAt(instant(this.#clock)))
    if (kept) {
      this.#events.hit()
      return kept
    }
    try {
      return await this.#getMinted(key, request, call)
    } catch (error) {
      const old = call.signal?.aborted ? undefined : this.#findOld(key, error)
      if (old) return old
      throw error
    }
  }

  /** What is kept now: while the call waited it may have been replaced, or forgotten. */
  #findOld(key: string, error: unknown): SessionToken | undefined {
    if (!(error instanceof VKitError) || !error.retryable) return undefined
    const entry = this.#entries.peek(key, DEFAULTS)
    const remainingMs = entry?.remainingMs(instant(this.#clock)) ?? 0
    if (remainingMs <= 0) return undefined
    this.#events.emit({ type: 'served-while-failing', code: error.code, remainingMs })
    return entry?.token
  }

  async #getMinted(key: string, request: TokenRequest, call: TokenCall): Promise<SessionToken> {
    this.#events.emit({ type: this.#flights.get(key) ? 'coalesced' : 'miss' })
    this.#assertOpen()
    const { deadlineMs, minValidityMs } = call
    const startedAt = this.#clock.monotonic()
    const isReload = call.mode === 'reload'
    const plan = { request, background: false, mustMint: isReload, minValidityMs, deadlineMs }
    const flight = this.#launch(key, plan)
    const found = await this.#flights.wait(flight, call)
    if (isReload || !this.#stored.has(found) || this.#suits(found, minValidityMs)) return this.#handOut(found, call)
    // The wish that the store's answer suited was another's. As a reload it comes here once.
    const leftMs = deadlineMs - (this.#clock.monotonic() - startedAt)
    return this.#renew(key, request, { ...call, mode: 'reload', deadlineMs: leftMs })
  }

  #suits({ token, lifetime }: MintedToken, minValidityMs?: number): boolean {
    return !lifetime || new CachedToken(token, lifetime, this.#options).isServable(instant(this.#clock), minValidityMs)
  }

  async #getUncached(request: TokenRequest, call: TokenCall): Promise<SessionToken> {
    this.#events.emit({ type: 'miss' })
    this.#assertOpen()
    const mint = (deadline: Deadline): Promise<MintedToken> =>
      this.#options.mint(request, deadline).catch((error: unknown) => {
        this.#tellFailure(error)
        throw error
      })
    return this.#handOut(await this.#flights.launchAlone(call, mint), call)
  }

  #launch(key: string, plan: FlightPlan): Promise<MintedToken> {
    if (!this.#flights.get(key)) this.#entries.peek(key, DEFAULTS)?.rest()
    // Not the first caller's deadline alone: those who join must not suffer from his haste.
    const deadlineMs = Math.max(this.#options.deadlineMs, plan.deadlineMs)
    return this.#flights.launch(key, deadlineMs, flight => this.#fly(key, plan, flight))
  }

  async #fly(key: string, plan: FlightPlan, flight: Flight): Promise<MintedToken> {
    const { mint, sharedStore } = this.#options
    const { request, background } = plan
    const { deadline, isCurrent } = flight
    flight.mustMint ||= plan.mustMint
    try {
      const stored = flight.mustMint ? undefined : await this.#findStored(key, plan, flight)
      if (stored) return stored
      const minted = await mint(request, deadline, () => (flight.isSent = true))
      if (isCurrent() && this.#keep(key, minted)) sharedStore?.write(request, minted)
      return minted
    } catch (error) {
      this.#tellFailure(error, background)
      if (isCurrent()) this.#noteFailure(key, request, error)
      throw error
    }
  }

  /** What the shared store has, where it is of use here. */
  async #findStored(key: string, plan: FlightPlan, flight: Flight): Promise<MintedToken | undefined> {
    const stored = await this.#options.sharedStore?.read(plan.request, flight.deadline)
    // A reload may have joined while the store was read.
    if (!stored || flight.mustMint || !this.#isWorthKeeping(key, stored, plan.minValidityMs)) return undefined
    this.#events.emit({ type: 'store-hit' })
    this.#stored.add(stored)
    if (flight.isCurrent()) this.#keep(key, stored)
    return stored
  }

  #tellFailure(error: unknown, background = false): void {
    if (!(error instanceof VKitError)) return
    const { code, retryable, attempts } = error
    this.#events.emit({ type: 'failure', code, retryable, attempts, background })
  }

  /** Another process's token is of use where it would not have to be replaced at once by ours. */
  #isWorthKeeping(key: string, { token, lifetime }: MintedToken, minValidityMs?: number): boolean {
    if (!lifetime) return false
    const now = instant(this.#clock)
    const theirs = new CachedToken(token, lifetime, this.#options)
    const ours = this.#entries.peek(key, DEFAULTS)
    if (!theirs.isServable(now, minValidityMs)) return false
    // Ours come back is not newer, whatever the clocks of those it has been with say.
    if (ours?.token.sessionToken === token.sessionToken) return false
    return !ours || theirs.remainingMs(now) > ours.remainingMs(now)
  }

  /** Returns whether there was anything to keep. */
  #keep(key: string, { token, lifetime }: MintedToken): boolean {
    const now = instant(this.#clock)
    const entry = lifetime && new CachedToken(token, lifetime, this.#options)
    const remainingMs = entry?.remainingMs(now) ?? 0
    if (entry && remainingMs > 0 && remainingMs < Infinity) {
      this.#entries.set(key, entry, DEFAULTS)
      return true
    }
    // Else every call would try again.
    this.#entries.peek(key, DEFAULTS)?.noteFailure(now)
    return false
  }

  #noteFailure(key: string, request: TokenRequest, error: unknown): void {
    const entry = this.#entries.peek(key, DEFAULTS)
    if (!entry) return
    const known = error instanceof VKitError ? error : undefined
    if (!isRefusal(known)) return entry.noteFailure(instant(this.#clock), known)
    this.#entries.delete(key)
    void this.#options.sharedStore?.remove(request)
    this.#events.emit({ type: 'eviction', reason: 'refused' })
  }

  /** Says so where even a new token is valid for less than was asked: another would be no better. */
  #handOut({ token, lifetime }: MintedToken, call: TokenCall): SessionToken {
    const minValidityMs = call.minValidityMs ?? this.#options.minValidityMs
    if (lifetime && minValidityMs !== undefined) {
      const validityMs = remainingMs(lifetime, instant(this.#clock))
      if (validityMs < minValidityMs) this.#events.emit({ type: 'short-lived', validityMs, minValidityMs })
    }
    return token
  }
}

/** A response in another format, such as a proxy's page, says nothing of the user. */
function isRefusal(error: VKitError | undefined): boolean {
  return error?.status !== undefined && REFUSED.has(error.status) && error.code !== 'VKIT_INVALID_RESPONSE'
}
