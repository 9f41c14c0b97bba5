import type { Clock } from '../core/clock.js'
import { callListener } from '../core/call-listener.js'
import { Deadline, untilAborted } from '../core/deadline.js'
import { VKitClosedError, VKitTimeoutError } from '../core/errors.js'
import type { Events } from '../core/events.js'
import { instant, remainingMs } from '../core/instant.js'
import { onAbort } from '../core/on-abort.js'
import { SingleFlight } from '../core/single-flight.js'
import { responseDetails, VKitError } from '../core/vkit-error.js'
import type { MintOptions } from '../gateway/token-minter.js'
import type { FleetListener, ForeignInvalidation, SharedStore, StoredToken } from '../store/shared-store.js'
import type { MintedToken, SessionToken } from '../token/session-token.js'
import type { AttemptLimits, Scope, TokenCall, TokenRequest } from '../token/token-request.js'
import { KeyMemo, keyOf, plainKeyOf } from './cache-key.js'
import { Flights, resultOf, type Flight, type FlightOptions, type SharedFlight } from './flights.js'
import { LeaseGate } from './lease-gate.js'
import { TokenEntries, type TokenEntriesOptions } from './token-entries.js'

/** Its `AttemptLimits` are those of a call that sets no others. */
export interface TokenCacheOptions extends TokenEntriesOptions, AttemptLimits {
  readonly mint: (request: TokenRequest, options: MintOptions) => Promise<MintedToken>
  /** The median duration of recent mints; undefined if it is not known. */
  readonly medianMintMs: () => number | undefined
  readonly deadlineMs: number
  readonly sharedStore?: SharedStore | undefined
}

/** A call that can be served with its old token waits for a new one at most for the longer of these. */
const FRACTION_OF_REMAINING = 0.5
const MEDIAN_MINTS = 4
/** After about this time, a refresh looks again whether another process has a new token. */
const POSTPONED_REFRESH_MS = 1_000
/** The assumed median until the first mint. */
const UNKNOWN_MEDIAN_MS = 250

/** A call that waits for a flight. */
interface Wait {
  readonly call: TokenCall
  /** At most its `deadlineMs`. */
  readonly waitMs: number
  /** Whether the new token replaces those of all processes. */
  readonly isReload: boolean
}

/** A call whose cached token must be checked first. */
interface SuspectCall {
  readonly request: TokenRequest
  readonly call: TokenCall
  readonly sharedStore: SharedStore
}

/** The options of the call that starts a flight. */
type FlightStarter = Pick<TokenCall, 'minValidityMs' | 'waitUntil'>

/** Reads the shared store. */
type StoreReader = () => Promise<MintedToken | undefined>

const NO_ENTRIES: Pick<TokenEntries, 'use'> = { use: () => undefined }

/**
 * Caches tokens, and decides when to serve, refresh and remove them.
 *
 * One flight per key is pending at a time. Each caller waits for it with its own signal and deadline, and may leave
 * without ending it.
 */
export class TokenCache implements FleetListener {
  readonly #options: TokenCacheOptions
  readonly #clock: Clock
  readonly #events: Events
  readonly #entries: TokenEntries
  /** What `peek` finds: the entries, until `hide` is called. */
  #visible: Pick<TokenEntries, 'use'>
  readonly #keys: KeyMemo
  readonly #flights: Flights<MintedToken>
  /** The tokens that came from the shared store. */
  readonly #stored = new WeakSet<MintedToken>()
  /** The checks of suspect tokens against the shared store. */
  readonly #checks = new SingleFlight<StoredToken>()
  #closed = false

  constructor(options: TokenCacheOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#events = options.events
    this.#flights = new Flights(options.clock)
    this.#keys = new KeyMemo(options.maxEntries)
    this.#entries = this.#visible = new TokenEntries(options)
  }

  get size(): number {
    return this.#entries.size
  }

  get inFlight(): number {
    return this.#flights.size
  }

  /**
   * The fast path: returns a token if it can be served without further work. Arguments are as the caller passed them.
   *
   * It builds no key: without scopes, the identity is the key, and `remember` has stored the others.
   */
  peek(identity: unknown, scopes: unknown, call: TokenCall): SessionToken | undefined {
    if (call.mode !== 'default' || call.signal?.aborted) return undefined
    const key = this.#knownKey(identity, scopes)
    const entry = key === undefined ? undefined : this.#visible.use(key)
    if (!entry?.isFresh(this.#clock)) return undefined
    const { minValidityMs } = call
    if (minValidityMs !== undefined && !entry.isServable(instant(this.#clock), minValidityMs)) return undefined
    this.#events.hit()
    return entry.token
  }

  /** Returns the request of the pending flight that this call would join. Arguments are as the caller passed them. */
  pendingRequest(identity: unknown, scopes: unknown): TokenRequest | undefined {
    const key = this.#knownKey(identity, scopes)
    return key === undefined ? undefined : this.#flights.get(key)?.request
  }

  /** Lets `peek` find this request by `scopes`, as the caller passed them. */
  remember(request: TokenRequest, scopes: readonly Scope[]): void {
    this.#keys.remember(request, scopes)
  }

  #knownKey(identity: unknown, scopes: unknown): string | undefined {
    if (typeof identity !== 'string') return undefined
    return scopes === undefined ? plainKeyOf(identity) : this.#keys.find(identity, scopes)
  }

  async get(request: TokenRequest, call: TokenCall): Promise<SessionToken> {
    return this.find(request, call) ?? this.fetch(request, call)
  }

  /**
   * Returns a token that can be served without waiting.
   *
   * Starts a background flight if the token should be refreshed.
   */
  find(request: TokenRequest, call: TokenCall): SessionToken | undefined {
    if (call.mode !== 'default' || call.signal?.aborted) return undefined
    const key = keyOf(request)
    const entry = this.#entries.use(key)
    if (!entry || entry.isSuspect) return undefined
    const now = instant(this.#clock)
    if (!entry.isServable(now, call.minValidityMs)) return undefined
    this.#events.hit()
    if (entry.shouldRefresh(now)) this.#refresh(key, request, call)
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
      // A flight whose request has not been sent returns a token that is as new, if it has enough time for this call.
      const hasTime = flight && flight.deadline.remainingMs() >= call.deadlineMs / 2
      if (hasTime && !flight.isSent) flight.mustMint = flight.isReload = true
      else this.#flights.forget(key)
      const token = this.#getMinted(key, request, { call, waitMs: call.deadlineMs, isReload: true })
      const current = this.#flights.get(key)
      if (flight !== current && flight) flight.next = current
      return token
    }
    const entry = this.#entries.peek(key)
    if (!entry) return this.#getMinted(key, request, { call, waitMs: call.deadlineMs, isReload: false })
    const { sharedStore } = this.#options
    return entry.isSuspect && sharedStore
      ? this.#checkAndGet(key, { request, call, sharedStore })
      : this.#renew(key, request, call)
  }

  /** Forgets the token of this request; with `sessionToken`, only if that is the stored token. */
  async invalidate(request: TokenRequest, sessionToken?: string): Promise<void> {
    this.#assertOpen()
    const key = keyOf(request)
    const entry = this.#entries.peek(key)
    if (sessionToken === undefined || entry?.token.sessionToken === sessionToken) {
      this.#flights.forget(key)
      this.#entries.delete(key)
      this.#events.emit({ type: 'invalidation' })
    }
    await this.#options.sharedStore?.invalidate(request, sessionToken)
  }

  onInvalidation({ request, ageMs, covers }: ForeignInvalidation): boolean {
    const key = keyOf(request)
    const entry = this.#entries.peek(key)
    const isCovered = entry?.isCovered(covers) ?? false
    const flight = this.#flights.get(key)
    const isFlightOlder = flight && this.#clock.monotonic() - flight.startedAt >= ageMs
    // The entry of a flight that is forgotten would never be refreshed again.
    const isForgotten = isFlightOlder && (isCovered || !entry)
    if (isForgotten) this.#flights.forget(key)
    if (isCovered) this.#entries.delete(key)
    // Its token will not be stored, so only this lets it replace the tokens of all processes.
    if (isForgotten && flight.isReload) void this.#options.sharedStore?.invalidate(request)
    return isCovered
  }

  onGapEnd(): void {
    // Their results may be from before.
    this.#checks.clear()
    this.#entries.suspectAll()
  }

  /** Hides the tokens from `peek`, the way of new calls. Calls that are pending still use them. */
  hide(): void {
    this.#visible = NO_ENTRIES
  }

  /** Resolves when no flight is pending. */
  idle(): Promise<void> {
    return this.#flights.idle()
  }

  /** Forgets every token and ends every flight with `VKIT_CLOSED`. */
  close(): void {
    this.#closed = true
    this.#flights.cancel(new VKitClosedError())
    this.#entries.clear()
    this.#keys.clear()
  }

  /** Called again after an event, because a listener may have closed the client. */
  #assertOpen(): void {
    if (this.#closed) throw new VKitClosedError()
  }

  #refresh(key: string, request: TokenRequest, { waitUntil }: TokenCall): void {
    // The mark of a refresh in flight may have ended, and a hit has no time to find out whether its request has too.
    const running = this.#flights.get(key)
    if (running?.sign?.isSilent) this.#flights.forget(key)
    else if (running) return
    this.#events.emit({ type: 'refresh' })
    // An event listener may have closed the client, or started a flight.
    if (this.#closed || this.#flights.get(key)) return
    // The flight itself emits its failure.
    this.#start(
      key,
      {
        ...{ request, priority: 'refresh', deadlineMs: this.#options.deadlineMs, limits: this.#options },
        ...{ waitMs: Infinity, mustMint: false, isReload: false },
      },
      { minValidityMs: undefined, waitUntil },
    )
  }

  /** Returns a suspect token if the shared store has it too, or cannot be read. Otherwise, gets another. */
  async #checkAndGet(key: string, { request, call, sharedStore }: SuspectCall): Promise<SessionToken> {
    const { generation } = this.#entries
    const deadline = new Deadline(this.#clock, call.deadlineMs, outOfTime)
    const stop = call.signal && onAbort(call.signal, () => deadline.cancel(undefined))
    const check = this.#checks.run(key, () => sharedStore.check(request))
    const stored = await untilAborted(check, deadline).catch(() => 'unreadable' as const)
    stop?.()
    deadline.clear()
    if (call.signal?.aborted) throw call.signal.reason
    this.#assertOpen()
    const entry = this.#entries.peek(key)
    const isSame = typeof stored === 'object' && stored.token.sessionToken === entry?.token.sessionToken
    if (isSame) entry.confirm(generation)
    const now = instant(this.#clock)
    // While the store cannot be read, as during the gap, an old token is better than none.
    if (entry && (isSame || stored === 'unreadable') && entry.isServable(now, call.minValidityMs)) {
      this.#events.hit()
      if (entry.shouldRefresh(now)) this.#refresh(key, request, call)
      return entry.token
    }
    // Not if the entry is gone: the stored token may be the one that was invalidated.
    if (entry && typeof stored === 'object' && this.#entries.isBetterThanCached(key, stored, call.minValidityMs)) {
      this.#events.emit({ type: 'store-hit' })
      this.#assertOpen()
      this.#entries.set(key, stored, generation)
      return stored.token
    }
    return this.#renew(key, request, { ...call, deadlineMs: deadline.remainingMs() })
  }

  /**
   * Returns a new token.
   *
   * While minting is slow or fails with a retryable error, returns the old token while it is valid.
   */
  async #renew(key: string, request: TokenRequest, call: TokenCall): Promise<SessionToken> {
    const fallback = this.#entries.staleFallback(key, this.#entries.peek(key)?.failureAt(instant(this.#clock)))
    if (fallback) {
      this.#events.hit()
      return fallback
    }
    const waitMs = Math.min(call.deadlineMs, this.#maxWaitMs(key))
    try {
      return await this.#getMinted(key, request, { call, waitMs, isReload: false })
    } catch (error) {
      // Read again, because the cached token may have been replaced or forgotten while the call waited.
      const old = call.signal?.aborted ? undefined : this.#entries.staleFallback(key, error)
      if (old) return old
      const isOwnTimeout = error instanceof VKitTimeoutError && error.attempts === 0
      if (!isOwnTimeout || waitMs === call.deadlineMs) throw error
      // The old token expired earlier than expected, for example because the machine slept.
      return await this.#renew(key, request, { ...call, deadlineMs: call.deadlineMs - waitMs })
    }
  }

  /**
   * How long a call waits before it takes the old token.
   *
   * While that token is valid, no call need wait for a slow mint.
   */
  #maxWaitMs(key: string): number {
    const remainingMs = this.#entries.peek(key)?.remainingMs(instant(this.#clock)) ?? 0
    const medianMs = this.#options.medianMintMs() ?? UNKNOWN_MEDIAN_MS
    const waitMs = Math.max(FRACTION_OF_REMAINING * remainingMs, MEDIAN_MINTS * medianMs)
    return waitMs < remainingMs ? waitMs : Infinity
  }

  #getMinted(key: string, request: TokenRequest, wait: Wait): Promise<SessionToken> {
    const { call, waitMs, isReload } = wait
    const isJoin = this.#flights.get(key) !== undefined
    if (isJoin) call.onJoin?.()
    this.#events.emit({ type: isJoin ? 'coalesced' : 'miss' })
    this.#assertOpen()
    const { deadlineMs, limits = this.#options } = call
    const startedAt = this.#clock.monotonic()
    const mustMint = call.mode === 'reload'
    const priority = call.isBulk ? 'bulk' : 'call'
    const flight =
      this.#flights.join(key, { priority, limits, waitMs: deadlineMs }) ??
      this.#start(key, { request, priority, deadlineMs, waitMs: deadlineMs, limits, mustMint, isReload }, call)
    return this.#flights.wait(flight, waitMs, call.signal).then(outcome => {
      const found = outcome && resultOf(outcome)
      if (found && this.#isUsable(found, call.minValidityMs)) return this.#deliver(found, call)
      return this.#takeOver(key, request, this.#afterWait(wait, startedAt))
    })
  }

  /** Whether the result of a flight is what a call needs: the shared store may have had it for another caller. */
  #isUsable(found: MintedToken, minValidityMs: number | undefined): boolean {
    return !this.#stored.has(found) || this.#entries.meetsMinValidity(found, minValidityMs)
  }

  /** What is left of a wait that began at `startedAt`. */
  #afterWait({ call, waitMs, isReload }: Wait, startedAt: number): Wait {
    const waitedMs = this.#clock.monotonic() - startedAt
    return { call: { ...call, deadlineMs: call.deadlineMs - waitedMs }, waitMs: waitMs - waitedMs, isReload }
  }

  /**
   * Gets the token for a call whose flight ended with the request that started it, or with a stored token that met
   * another caller's `minValidityMs` and not that of this call. Another call may have got it.
   */
  #takeOver(key: string, request: TokenRequest, wait: Wait): Promise<SessionToken> {
    this.#assertOpen()
    if (wait.call.mode === 'default') return this.get(request, wait.call)
    if (!this.#flights.get(key)?.mustMint) this.#flights.forget(key)
    return this.#getMinted(key, request, wait)
  }

  async #getUncached(request: TokenRequest, call: TokenCall): Promise<SessionToken> {
    this.#events.emit({ type: 'miss' })
    this.#assertOpen()
    const mint = ({ deadline, priority, limits }: Flight): Promise<MintedToken> =>
      this.#options
        .mint(request, { deadline, priority, limits, onSent: undefined, gate: undefined })
        .catch((error: unknown) => {
          this.#emitFailure(error)
          throw error
        })
    const { deadlineMs, limits = this.#options } = call
    const options = {
      ...({ request, deadlineMs, waitMs: deadlineMs, limits, priority: call.isBulk ? 'bulk' : 'call' } as const),
      ...{ mustMint: true, isReload: false },
    }
    return this.#deliver(await this.#flights.runUnshared(options, call.signal, mint), call)
  }

  #start(key: string, options: FlightOptions, { minValidityMs, waitUntil }: FlightStarter): SharedFlight<MintedToken> {
    this.#entries.peek(key)?.markRefreshing(instant(this.#clock))
    // A short deadline of the first caller must not end the wait of callers that join.
    const deadlineMs = Math.max(this.#options.deadlineMs, options.deadlineMs)
    const flight = this.#flights.start(key, { ...options, deadlineMs }, it => this.#load(key, it, minValidityMs))
    if (waitUntil) callListener(() => waitUntil(this.#whenSettled(flight)))
    return flight
  }

  /** Waits for a flight and its change of the store, longer than a call would wait for a slow store. Never rejects. */
  async #whenSettled(flight: SharedFlight<MintedToken>): Promise<void> {
    await flight.outcome
    const change = await flight.storeChange
    if (!change) return
    const deadline = new Deadline(this.#clock, this.#options.deadlineMs, outOfTime)
    await untilAborted(change.settled, deadline).catch(() => undefined)
    deadline.clear()
  }

  async #load(key: string, flight: Flight, minValidityMs: number | undefined): Promise<MintedToken> {
    const { mint, sharedStore } = this.#options
    const { request, deadline, priority, limits, isCurrent } = flight
    const { generation } = this.#entries
    let gate: LeaseGate | undefined
    let written: Flight['storeChange']
    try {
      const read = sharedStore && ((): Promise<MintedToken | undefined> => sharedStore.read(request, deadline))
      const stored = await this.#findStored(key, flight, { read, minValidityMs })
      if (stored) return stored
      gate = sharedStore && (await this.#openGate(key, flight, { sharedStore, minValidityMs }))
      // The next flight must not wait for a token that it cannot use.
      flight.onForget = () => {
        if (flight.isSent) gate?.end()
      }
      const onSent = (): void => void (flight.isSent = true)
      const minted = await mint(request, { deadline, priority, limits, onSent, gate })
      if (gate?.isFound(minted)) return minted
      const isCached = isCurrent() && this.#entries.set(key, minted, generation)
      if (isCached) flight.storeChange = written = sharedStore?.write(request, minted, flight.isReload)
      return minted
    } catch (error) {
      this.#emitFailure(error, priority.level === 'refresh')
      if (isCurrent()) this.#recordFailure(key, flight, error)
      throw error
    } finally {
      // Only now, because the next holder looks for the token in the store.
      if (gate) void Promise.resolve(written).then(() => gate?.end())
    }
  }

  /** Returns undefined if the processes do not coordinate their mints. */
  async #openGate(
    key: string,
    flight: Flight,
    { sharedStore, minValidityMs }: { readonly sharedStore: SharedStore; readonly minValidityMs: number | undefined },
  ): Promise<LeaseGate | undefined> {
    const { medianMintMs, timeoutMs, random } = this.#options
    const lease = flight.mustMint ? undefined : await sharedStore.lease(flight.request)
    if (!lease) return undefined
    const read = async (): Promise<MintedToken | undefined> => {
      const stored = await sharedStore.check(flight.request)
      return typeof stored === 'string' ? undefined : stored
    }
    return new LeaseGate({
      ...{ lease, flight, timeoutMs, random, medianMintMs, clock: this.#clock, events: this.#events },
      findStored: () => this.#findStored(key, flight, { read, minValidityMs }),
      postpone: () => (flight.isCurrent() ? this.#postpone(key) : undefined),
    })
  }

  /** Ends the refresh that is in flight, which no call waits for, with the cached token as its result. */
  #postpone(key: string): MintedToken | undefined {
    const entry = this.#entries.peek(key)
    if (!entry) return undefined
    this.#flights.forget(key)
    this.#entries.endRefresh(key, POSTPONED_REFRESH_MS * (0.5 + this.#options.random()))
    return { token: entry.token }
  }

  /** Returns the token of the shared store, if this flight can use it. */
  async #findStored(
    key: string,
    flight: Flight,
    { read, minValidityMs }: { read: StoreReader | undefined; minValidityMs: number | undefined },
  ): Promise<MintedToken | undefined> {
    const { generation } = this.#entries
    const stored = flight.mustMint ? undefined : await read?.()
    // A reload may have joined while the store was read.
    if (!stored || flight.mustMint || !this.#entries.isBetterThanCached(key, stored, minValidityMs)) return undefined
    // A later reload must not join this flight.
    flight.isSent = true
    this.#events.emit({ type: 'store-hit' })
    this.#stored.add(stored)
    if (flight.isCurrent()) this.#entries.set(key, stored, generation)
    return stored
  }

  #emitFailure(error: unknown, background = false): void {
    if (!(error instanceof VKitError)) return
    const { code, retryable, attempts } = error
    this.#events.emit({ type: 'failure', code, retryable, attempts, background, ...responseDetails(error) })
  }

  #recordFailure(key: string, flight: Flight, error: unknown): void {
    if (this.#isCutOff(flight, error)) return this.#entries.endRefresh(key, 0)
    const isRevoked = this.#entries.recordFailure(key, error)
    if (!isRevoked) return
    flight.storeChange = this.#options.sharedStore?.remove(flight.request)
    this.#events.emit({ type: 'eviction', reason: 'refused' })
  }

  /** Whether a call's own short timeout caused a failure, which says nothing about the next refresh. */
  #isCutOff({ deadline, limits }: Flight, error: unknown): boolean {
    const isShort = limits.timeoutMs < this.#options.timeoutMs
    return isShort && error instanceof VKitTimeoutError && error.attempts > 0 && !deadline.aborted
  }

  /** Returns the token. Emits an event if it is valid for less than the call requested: another would not be better. */
  #deliver({ token, lifetime }: MintedToken, call: TokenCall): SessionToken {
    const minValidityMs = call.minValidityMs ?? this.#options.minValidityMs
    if (lifetime && minValidityMs !== undefined) {
      const validityMs = remainingMs(lifetime, instant(this.#clock))
      if (validityMs < minValidityMs) this.#events.emit({ type: 'short-lived', validityMs, minValidityMs })
    }
    return token
  }
}

/** Ends a wait for the store: no caller sees it. */
function outOfTime(): Error {
  return new Error()
}
