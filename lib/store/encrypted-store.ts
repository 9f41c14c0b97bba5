import type { Deadline } from '../core/deadline.js'
import { DEFAULTS, makeLru } from '../core/lru.js'
import { plainJson } from '../core/plain-json.js'
import { WORK_ENDS_WITH_REQUEST } from '../core/request-context.js'
import type { MintedToken, SessionToken } from '../token/session-token.js'
import type { TokenRequest } from '../token/token-request.js'
import { InvalidationChannels } from './invalidation-channels.js'
import type { OwnInvalidation, ReceivedInvalidation } from './invalidation.js'
import type { Lease } from './lease.js'
import { Leases } from './leases.js'
import { Records, requestKey, type Condition, type RecordPlace, type RecordsOptions } from './records.js'
import { mintedAtMs, ServerTime } from './server-time.js'
import type { FleetListener, SharedStore, StoreChange, StoredToken } from './shared-store.js'
import { StoreGuard } from './store-guard.js'
import { isMintedUntil, TOLERANCE_MS, Tombstones } from './tombstones.js'

/** Invalidations to be sent again, the newest ones. */
const MAX_UNSENT = 1_000
/** So many are sent again at each ping, because more would be a flood to the other processes. */
const MAX_UNSENT_PER_PING = 100
const MAX_RELOADS = 1_000
const MS_BETWEEN_RELOADS = 1_000

/**
 * A store that processes share, and what they tell each other. Only a process with the app secret can take part.
 *
 * Keys depend on the secret: a process with another secret does not find them.
 */
export class EncryptedStore implements SharedStore {
  readonly #options: RecordsOptions
  readonly #guard: StoreGuard
  readonly #pendingWrites = new Set<Promise<unknown>>()
  readonly #tombstones = new Tombstones()
  readonly #serverTime: ServerTime
  readonly #channels: InvalidationChannels
  readonly #leases: Leases
  readonly #records: Records
  /** When the last reload of a request was sent to the other processes. */
  readonly #reloads = makeLru<{ readonly at: number }>({ max: MAX_RELOADS })
  /** The invalidations that the store did not accept, by the key of the request and the token. */
  readonly #unsent = new Map<string, OwnInvalidation>()
  #listener: FleetListener | undefined

  constructor(options: RecordsOptions) {
    this.#options = options
    this.#guard = new StoreGuard(options)
    this.#serverTime = new ServerTime(options.clock)
    this.#leases = new Leases({ ...options, guard: this.#guard })
    this.#channels = new InvalidationChannels({
      ...options,
      guard: this.#guard,
      onInvalidation: invalidation => this.#receive(invalidation),
      onStart: () => this.#catchUp(),
      onPing: () => this.#sendAgain(MAX_UNSENT_PER_PING),
    })
    this.#records = new Records({
      ...options,
      guard: this.#guard,
      tombstones: this.#tombstones,
      serverTime: this.#serverTime,
      onKeys: keys => this.#channels.use(keys),
    })
  }

  listen(listener: FleetListener): void {
    this.#listener = listener
  }

  async read(request: TokenRequest, deadline: Deadline): Promise<MintedToken | undefined> {
    try {
      const place = await this.#records.placeOf(request, await this.#options.secret.read(deadline))
      const found = await this.#records.read(request, place, deadline)
      return typeof found === 'string' ? undefined : found
    } catch (error) {
      // No time is left for a mint, and this error names the cause.
      if (deadline.aborted) throw error
      // Without a secret or an endpoint, the mint fails too, and its error names the cause.
      return undefined
    }
  }

  async check(request: TokenRequest): Promise<StoredToken> {
    const place = await this.#knownPlaceOf(request)
    return place ? this.#records.read(request, place) : 'unreadable'
  }

  async write(
    request: TokenRequest,
    { token, lifetime }: MintedToken,
    isReload: boolean,
  ): Promise<StoreChange | undefined> {
    if (!lifetime) return undefined
    const key = requestKey(request)
    this.#serverTime.learn(token, lifetime)
    const untilMs = this.#laterMs(key, mintedAtMs(token, lifetime.ms))
    const isAnnounced = isReload && this.#channels.canPublish
    if (isAnnounced) this.#tombstones.addUntil(key, untilMs)
    const recorded = { token, lifetime, afterMs: this.#tombstones.untilMs(key) }
    const written = this.#records.write(request, recorded)
    const done = written.then(({ accepted }) => accepted)
    // Afterwards, because another process that drops its token then reads this one.
    const announced = isAnnounced
      ? done.then(() => this.#announce({ request, untilMs, sessionToken: undefined }))
      : undefined
    await this.#whilePending(announced ?? written)
    await done
    return written
  }

  async lease(request: TokenRequest): Promise<Lease | undefined> {
    const place = this.#leases.areUsed ? await this.#knownPlaceOf(request) : undefined
    return place && this.#leases.open(place.storeKey)
  }

  async invalidate(request: TokenRequest, sessionToken?: string): Promise<void> {
    const key = requestKey(request)
    const { now, serverNowMs = now.wall } = this.#serverTime.read()
    if (sessionToken !== undefined) {
      this.#tombstones.addToken(key, text => text === sessionToken)
      return this.#spread({ request, untilMs: serverNowMs, sessionToken }, { onlyCovered: true })
    }
    const laterMs = this.#laterMs(key, serverNowMs)
    this.#tombstones.addUntil(key, laterMs)
    const untilMs = Math.max(laterMs, await this.#records.earliestInvalidationMs(request))
    this.#tombstones.addUntil(key, untilMs)
    await this.#spread({ request, untilMs, sessionToken: undefined }, { onlyCovered: false })
  }

  async remove(request: TokenRequest): Promise<StoreChange> {
    const key = requestKey(request)
    const { now, serverNowMs = now.wall } = this.#serverTime.read()
    this.#tombstones.addUntil(key, serverNowMs)
    const removed = this.#records.remove(request, { onlyCovered: false })
    await this.#whilePending(removed.then(({ accepted }) => accepted))
    return removed
  }

  async flush(): Promise<void> {
    await Promise.all(this.#pendingWrites)
  }

  async close(): Promise<void> {
    this.#leases.close()
    await this.flush()
    this.#channels.close()
  }

  /** A clock may be wrong: an invalidation must be later than each that is known, or others ignore it. */
  #laterMs(key: string, ms: number): number {
    return Math.max(ms, (this.#tombstones.untilMs(key) ?? -Infinity) + 1)
  }

  /** The place of a record, without a call of the secret provider. Undefined if there is none yet. */
  async #knownPlaceOf(request: TokenRequest): Promise<RecordPlace | undefined> {
    const { latest } = this.#options.secret
    return latest === undefined ? undefined : this.#records.placeOf(request, latest).catch(() => undefined)
  }

  /** Tells the other processes of a reload; later, if there was one a moment ago, or if the store does not accept it. */
  async #announce(invalidation: OwnInvalidation): Promise<void> {
    const isSent = this.#mayAnnounceReload(invalidation.request) && (await this.#channels.publish(invalidation))
    if (!isSent) this.#keepUnsent(invalidation)
  }

  /** Waits for a change, and lets `flush` wait for it. */
  async #whilePending(change: Promise<unknown>): Promise<void> {
    // It would wait forever for one whose request has ended.
    if (!WORK_ENDS_WITH_REQUEST) this.#pendingWrites.add(change)
    await change
    this.#pendingWrites.delete(change)
  }

  /** Removes the record and tells the other processes; again later, if the store does not accept that now. */
  async #spread(invalidation: OwnInvalidation, condition: Condition): Promise<void> {
    const { request } = invalidation
    const removed = this.#records.remove(request, condition)
    const sent = this.#records.withPlace(request, () => this.#channels.publish(invalidation)).catch(() => undefined)
    const { accepted } = await removed
    const isDone = [await accepted, await sent].every(Boolean)
    if (!isDone) this.#keepUnsent(invalidation)
  }

  #keepUnsent(invalidation: OwnInvalidation): void {
    const { request, sessionToken } = invalidation
    // An invalidation of one token must not replace that of all.
    const key = plainJson([requestKey(request), String(sessionToken)])
    this.#unsent.delete(key)
    for (const oldest of this.#unsent.keys()) {
      if (this.#unsent.size < MAX_UNSENT) break
      this.#unsent.delete(oldest)
    }
    this.#unsent.set(key, invalidation)
  }

  /** The subscription has started: tells what could not be told before, and asks the cache to check its tokens. */
  #catchUp(): void {
    this.#guard.probeNow()
    this.#sendAgain(MAX_UNSENT)
    this.#listener?.onGapEnd()
  }

  #sendAgain(max: number): void {
    for (const [key, invalidation] of [...this.#unsent].slice(0, max)) {
      this.#unsent.delete(key)
      // Only what is covered, because the store may have a newer token meanwhile.
      void this.#spread(invalidation, { onlyCovered: true })
    }
  }

  #receive({ request, untilMs, isToken }: ReceivedInvalidation): void {
    const key = requestKey(request)
    if (isToken) this.#tombstones.addToken(key, isToken)
    // An old message that is sent again must not do anything.
    else if (!this.#tombstones.addUntil(key, untilMs)) return
    const { serverNowMs } = this.#serverTime.read()
    const covers = ({ sessionToken, expiresAt }: Dated, lifetimeMs: number): boolean =>
      isToken
        ? isToken(sessionToken)
        : isMintedUntil(untilMs, { sessionToken, mintedAtMs: mintedAtMs({ expiresAt }, lifetimeMs) })
    // If the gateway's time is not known, any mint in flight may be older.
    const olderMs = serverNowMs === undefined ? -Infinity : serverNowMs - untilMs - TOLERANCE_MS
    // A mint that is in flight returns another token than the one that is named.
    const ageMs = isToken ? Infinity : olderMs
    const evicted = this.#listener?.onInvalidation({ request, covers, ageMs }) ?? false
    this.#options.events.emit({ type: 'invalidation-received', evicted })
    // This process may have stored the token after the other one removed it.
    if (evicted) void this.#records.remove(request, { onlyCovered: true })
  }

  #mayAnnounceReload(request: TokenRequest): boolean {
    const [key, at] = [requestKey(request), this.#options.clock.monotonic()]
    const last = this.#reloads.get(key, DEFAULTS)
    if (last && at - last.at < MS_BETWEEN_RELOADS) return false
    this.#reloads.set(key, { at }, DEFAULTS)
    return true
  }
}

type Dated = Pick<SessionToken, 'sessionToken' | 'expiresAt'>
