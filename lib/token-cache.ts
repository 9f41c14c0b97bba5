import { LRUCache } from 'lru-cache'
import { onAbort } from './abort-listeners.js'
import { Deadline, type Clock } from './clock.js'
import { copyError, VKitClosedError, VKitError, VKitTimeoutError } from './errors.js'
import type { Events } from './events.js'
import type { Instant, Lifetime, MintedToken, SessionToken } from './session-token.js'
import type { SharedStore } from './shared-store.js'
import { SingleFlight } from './single-flight.js'
import type { TokenCall, TokenRequest } from './token-request.js'

export interface TokenCacheOptions {
  readonly mint: (request: TokenRequest, deadline: Deadline) => Promise<MintedToken>
  readonly maxEntries: number
  /** The part of a token's life after which it is refreshed in the background. */
  readonly refreshAhead: number
  readonly minValidityMs?: number | undefined
  readonly deadlineMs: number
  readonly sharedStore?: SharedStore | undefined
  readonly clock: Clock
  readonly events: Events
}

/** Refreshes are drawn up to this much earlier, so that tokens made together are not refreshed together. */
const REFRESH_SPREAD = 0.2
const DEFAULT_MIN_VALIDITY_MS = 60_000
const DEFAULT_MIN_VALIDITY_PART = 0.1
const FIRST_BACKOFF_MS = 1_000
const LONGEST_BACKOFF_MS = 30_000
/** On these the gateway says that the user is no longer to have what was granted before. */
const REFUSED = new Set([403, 404, 410])

interface Entry {
  readonly token: SessionToken
  /** By either clock: an entry is as stale as the more pessimistic one says. */
  readonly expiresAt: Instant
  readonly refreshAt: Instant
  readonly minValidityMs: number
  failures: number
  /** What the last refresh failed with, and until when, by the monotonic clock, the next one waits. */
  failure?: { readonly error: VKitError; readonly retryAt: number }
}

interface FlightPlan {
  readonly background: boolean
  readonly skipStore: boolean
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
  readonly #entries: LRUCache<string, Entry>
  readonly #flights = new SingleFlight<MintedToken>()
  readonly #deadlines = new Map<Promise<MintedToken>, Deadline>()
  #closed = false

  constructor(options: TokenCacheOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#events = options.events
    this.#entries = new LRUCache({
      max: options.maxEntries,
      dispose: (_entry, _key, reason) => {
        if (reason === 'evict') this.#events.emit({ type: 'eviction', reason: 'capacity' })
      },
    })
  }

  get size(): number {
    return this.#entries.size
  }

  get inFlight(): number {
    return this.#deadlines.size
  }

  /** The fast path: the token of an identity without scopes, if it may be served and nothing else need be done. */
  peek(identity: string): SessionToken | undefined {
    if (typeof identity !== 'string') return undefined
    const entry = this.#entries.get(plainKey(identity))
    if (entry === undefined) return undefined
    const { refreshAt } = entry
    if (this.#clock.now() >= refreshAt.wall || this.#clock.monotonic() >= refreshAt.monotonic) return undefined
    this.#events.hit()
    return entry.token
  }

  async get(request: TokenRequest, call: TokenCall): Promise<SessionToken> {
    if (this.#closed) throw new VKitClosedError()
    call.signal?.throwIfAborted()
    if (call.mode === 'no-store') return this.#getUncached(request, call)

    const key = keyOf(request)
    if (call.mode === 'reload') this.#flights.forget(key)
    const entry = call.mode === 'reload' ? undefined : this.#entries.get(key)
    if (entry === undefined) return this.#getMinted(key, request, call)
    if (this.#mayServe(entry, call)) {
      this.#events.hit()
      if (this.#isRefreshDue(key, entry)) this.#refresh(key, request)
      return entry.token
    }
    if (remainingMs(entry, this.#now()) <= 0) return this.#getMinted(key, request, call)
    return this.#renew(key, request, call, entry)
  }

  /** With `sessionToken`: only if that is the token kept. */
  async invalidate(request: TokenRequest, sessionToken?: string): Promise<void> {
    if (this.#closed) throw new VKitClosedError()
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
    for (const deadline of this.#deadlines.values()) deadline.cancel(new VKitClosedError())
    this.#flights.clear()
    this.#entries.clear()
  }

  #mayServe(entry: Entry, call: TokenCall): boolean {
    const remaining = remainingMs(entry, this.#now())
    return remaining > 0 && remaining >= (call.minValidityMs ?? entry.minValidityMs)
  }

  #isRefreshDue(key: string, entry: Entry): boolean {
    const { wall, monotonic } = this.#now()
    if (wall < entry.refreshAt.wall && monotonic < entry.refreshAt.monotonic) return false
    return !this.#flights.get(key) && monotonic >= (entry.failure?.retryAt ?? -Infinity)
  }

  #refresh(key: string, request: TokenRequest): void {
    this.#events.emit({ type: 'refresh' })
    const plan = { background: true, skipStore: false, deadlineMs: this.#options.deadlineMs }
    // Nobody waits for it; the flight has told what went wrong.
    this.#launch(key, request, plan).catch(() => undefined)
  }

  /** A new token, or, while minting fails for a reason that may pass, the old one as long as it is valid. */
  async #renew(key: string, request: TokenRequest, call: TokenCall, entry: Entry): Promise<SessionToken> {
    const { failure } = entry
    if (failure?.error.retryable && this.#clock.monotonic() < failure.retryAt)
      return this.#serveOld(entry, failure.error)
    try {
      return await this.#getMinted(key, request, call)
    } catch (error) {
      const canWait = error instanceof VKitError && error.retryable && !call.signal?.aborted
      if (!canWait || this.#entries.peek(key) !== entry || remainingMs(entry, this.#now()) <= 0) throw error
      return this.#serveOld(entry, error)
    }
  }

  #serveOld(entry: Entry, error: VKitError): SessionToken {
    const remaining = remainingMs(entry, this.#now())
    this.#events.emit({ type: 'served-while-failing', code: error.code, remainingMs: remaining })
    return entry.token
  }

  async #getMinted(key: string, request: TokenRequest, call: TokenCall): Promise<SessionToken> {
    this.#events.emit({ type: this.#flights.get(key) ? 'coalesced' : 'miss' })
    const plan = { background: false, skipStore: call.mode === 'reload', deadlineMs: call.deadlineMs }
    const minted = await this.#wait(this.#launch(key, request, plan), call)
    this.#reportShortLife(minted, call)
    return minted.token
  }

  async #getUncached(request: TokenRequest, call: TokenCall): Promise<SessionToken> {
    this.#events.emit({ type: 'miss' })
    const deadline = this.#startDeadline(call.deadlineMs)
    const flight = this.#mint(request, deadline, false)
    this.#track(flight, deadline)
    const minted = await this.#wait(flight, call)
    this.#reportShortLife(minted, call)
    return minted.token
  }

  /** Joins the flight of this key, or starts one. */
  #launch(key: string, request: TokenRequest, plan: FlightPlan): Promise<MintedToken> {
    const running = this.#flights.get(key)
    if (running) return running
    const deadline = this.#startDeadline(plan.deadlineMs)
    const flight = this.#flights.run(key, isCurrent => this.#fly(key, request, { ...plan, deadline, isCurrent }))
    this.#track(flight, deadline)
    return flight
  }

  async #fly(
    key: string,
    request: TokenRequest,
    { background, skipStore, deadline, isCurrent }: FlightPlan & { deadline: Deadline; isCurrent: () => boolean },
  ): Promise<MintedToken> {
    const { sharedStore } = this.#options
    const stored = skipStore ? undefined : await sharedStore?.read(request)
    if (stored && this.#isWorthKeeping(key, stored)) {
      if (isCurrent()) this.#keep(key, stored)
      return stored
    }
    try {
      const minted = await this.#mint(request, deadline, background)
      if (isCurrent() && this.#keep(key, minted)) void sharedStore?.write(request, minted)
      return minted
    } catch (error) {
      if (isCurrent() && error instanceof VKitError) this.#noteFailure(key, request, error)
      throw error
    }
  }

  async #mint(request: TokenRequest, deadline: Deadline, background: boolean): Promise<MintedToken> {
    try {
      return await this.#options.mint(request, deadline)
    } catch (error) {
      if (error instanceof VKitError) {
        const { code, retryable, attempts } = error
        this.#events.emit({ type: 'failure', code, retryable, attempts, background })
      }
      throw error
    }
  }

  /** Another process's token is of use where it would not have to be replaced at once by ours. */
  #isWorthKeeping(key: string, stored: MintedToken): boolean {
    const entry = stored.lifetime && this.#makeEntry(stored.token, stored.lifetime)
    if (!entry) return false
    const remaining = remainingMs(entry, this.#now())
    const ours = this.#entries.peek(key)
    return remaining > entry.minValidityMs && (!ours || remaining > remainingMs(ours, this.#now()))
  }

  /** Returns whether there was anything to keep. */
  #keep(key: string, { token, lifetime }: MintedToken): boolean {
    if (!lifetime || !(lifetime.ms > 0) || !Number.isFinite(lifetime.ms)) return false
    this.#entries.set(key, this.#makeEntry(token, lifetime))
    return true
  }

  #makeEntry(token: SessionToken, lifetime: Lifetime): Entry {
    const byDefault = Math.min(DEFAULT_MIN_VALIDITY_MS, DEFAULT_MIN_VALIDITY_PART * lifetime.ms)
    const { minValidityMs = byDefault, refreshAhead } = this.#options
    // What no token can fulfil would make every call mint.
    const kept = minValidityMs < lifetime.ms ? minValidityMs : byDefault
    const refreshAfter = lifetime.ms * refreshAhead * (1 - REFRESH_SPREAD * Math.random())
    return {
      token,
      expiresAt: later(lifetime.start, lifetime.ms),
      refreshAt: later(lifetime.start, Math.min(refreshAfter, lifetime.ms - kept)),
      minValidityMs: kept,
      failures: 0,
    }
  }

  #noteFailure(key: string, request: TokenRequest, error: VKitError): void {
    const entry = this.#entries.peek(key)
    if (!entry) return
    if (error.status !== undefined && REFUSED.has(error.status)) {
      this.#entries.delete(key)
      void this.#options.sharedStore?.remove(request)
      this.#events.emit({ type: 'eviction', reason: 'refused' })
      return
    }
    const ceiling = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** entry.failures++)
    const backoff = Math.max(Math.random() * ceiling, error.retryAfterMs ?? 0)
    entry.failure = { error, retryAt: this.#clock.monotonic() + backoff }
  }

  #reportShortLife({ lifetime }: MintedToken, call: TokenCall): void {
    const minValidityMs = call.minValidityMs ?? this.#options.minValidityMs
    if (!lifetime || minValidityMs === undefined) return
    const validityMs = lifetime.ms - (this.#clock.monotonic() - lifetime.start.monotonic)
    if (validityMs < minValidityMs) this.#events.emit({ type: 'short-lived', validityMs, minValidityMs })
  }

  #startDeadline(ms: number): Deadline {
    return new Deadline(this.#clock, ms, () => new VKitTimeoutError(`No session token came within ${ms} ms.`))
  }

  #track(flight: Promise<MintedToken>, deadline: Deadline): void {
    this.#deadlines.set(flight, deadline)
    const land = (): void => {
      deadline.clear()
      this.#deadlines.delete(flight)
    }
    flight.then(land, land)
  }

  /** Waits for a flight by the caller's own signal and deadline; leaving it does not end it. */
  #wait(flight: Promise<MintedToken>, { signal, deadlineMs }: TokenCall): Promise<MintedToken> {
    const flightEndsFirst = (this.#deadlines.get(flight)?.remainingMs() ?? 0) <= deadlineMs
    const shared = flight.catch((error: unknown) => {
      throw copyError(error)
    })
    if (!signal && flightEndsFirst) return shared

    const own = flightEndsFirst ? undefined : this.#startDeadline(deadlineMs)
    return new Promise<MintedToken>((resolve, reject) => {
      const leave = [signal, own?.signal].map(each => each && onAbort(each, () => settle(reject, each.reason)))
      const settle = <V>(how: (value: V) => void, value: V): void => {
        own?.clear()
        for (const stop of leave) stop?.()
        how(value)
      }
      shared.then(
        minted => settle(resolve, minted),
        (error: unknown) => settle(reject, error),
      )
    })
  }

  #now(): Instant {
    return { wall: this.#clock.now(), monotonic: this.#clock.monotonic() }
  }
}

/**
 * The identity itself where no scopes are asked for, else JSON.
 *
 * JSON arrays begin with a bracket, so an identity that does too is written as JSON: the two forms never meet.
 */
export function keyOf({ identity, scopes }: TokenRequest): string {
  return scopes.length === 0 ? plainKey(identity) : JSON.stringify([identity, scopes])
}

const BRACKET = '['.charCodeAt(0)

function plainKey(identity: string): string {
  return identity.charCodeAt(0) === BRACKET ? JSON.stringify([identity, []]) : identity
}

function later(start: Instant, ms: number): Instant {
  return { wall: start.wall + ms, monotonic: start.monotonic + ms }
}

function remainingMs({ expiresAt }: Entry, now: Instant): number {
  return Math.min(expiresAt.wall - now.wall, expiresAt.monotonic - now.monotonic)
}
