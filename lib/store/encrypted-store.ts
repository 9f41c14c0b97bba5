import { Deadline } from '../core/deadline.js'
import { VKitTimeoutError } from '../core/errors.js'
import { instant, remainingMs } from '../core/instant.js'
import { DEFAULTS, makeLru } from '../core/lru.js'
import { plainJson } from '../core/plain-json.js'
import type { SecretSource } from '../secret/secret-source.js'
import type { MintedToken, SessionToken } from '../token/session-token.js'
import type { TokenRequest } from '../token/token-request.js'
import { InvalidationChannels, type OwnInvalidation } from './invalidation-channels.js'
import { tokenMacOf, type Invalidation } from './invalidation-message.js'
import { deriveStoreKeys, openRecord, sealRecord, storeKeyOf, UnusableRecord, type StoreKeys } from './record-crypto.js'
import { datedTokenOf, readRecord, writeRecord, type RecordedToken } from './record.js'
import { mintedAtMs, ServerTime } from './server-time.js'
import type { FleetListener, SharedStore, StoredToken } from './shared-store.js'
import type { Lease } from './lease.js'
import { Leases } from './leases.js'
import { NOTHING, StoreGuard, UNAVAILABLE, type StoreGuardOptions, type StoreOutcome } from './store-guard.js'
import { isMintedUntil, TOLERANCE_MS, Tombstones } from './tombstones.js'
import { WriteOrder } from './write-order.js'

export interface EncryptedStoreOptions extends StoreGuardOptions {
  readonly secret: SecretSource
  /** The gateway of the tokens: a token of one gateway does not work with another. */
  readonly endpoint: () => URL
  /** The time limit for `remove` to get the secret. */
  readonly deadlineMs: number
}

/** The key of a record in the store, and its encryption key. */
interface RecordPlace {
  readonly storeKey: string
  readonly keys: StoreKeys
}

type Change = () => Promise<StoreOutcome | undefined>

/** Invalidations to be sent again, the newest ones. */
const MAX_UNSENT = 1_000
/** So many are sent again at each ping, because more would be a flood to the other processes. */
const MAX_UNSENT_PER_PING = 100
const MAX_RELOADS = 1_000
const MS_BETWEEN_RELOADS = 1_000

/**
 * A store that processes share. Only a process with the app secret can read and change its tokens.
 *
 * Keys depend on the secret: a process with another secret does not find them.
 */
export class EncryptedStore implements SharedStore {
  readonly #options: EncryptedStoreOptions
  readonly #guard: StoreGuard
  readonly #order = new WriteOrder()
  readonly #pendingWrites = new Set<Promise<unknown>>()
  readonly #tombstones = new Tombstones()
  readonly #serverTime: ServerTime
  readonly #channels: InvalidationChannels
  readonly #leases: Leases
  /** When the last reload of a request was sent to the other processes. */
  readonly #reloads = makeLru<{ readonly at: number }>({ max: MAX_RELOADS })
  /** The invalidations that the store did not accept, by the key of the request. */
  readonly #unsent = new Map<string, OwnInvalidation>()
  #listener: FleetListener | undefined
  #keys: { readonly secret: string; readonly keys: StoreKeys } | undefined

  constructor(options: EncryptedStoreOptions) {
    this.#options = options
    this.#guard = new StoreGuard(options)
    this.#serverTime = new ServerTime(options.clock)
    this.#leases = new Leases({ ...options, guard: this.#guard })
    this.#channels = new InvalidationChannels({
      ...options,
      guard: this.#guard,
      onInvalidation: (invalidation, keys) => this.#receive(invalidation, keys),
      onStart: () => this.#catchUp(),
      onPing: () => this.#sendAgain(MAX_UNSENT_PER_PING),
    })
  }

  listen(listener: FleetListener): void {
    this.#listener = listener
  }

  async read(request: TokenRequest, deadline: Deadline): Promise<MintedToken | undefined> {
    try {
      const place = this.#placeOf(request, await this.#options.secret.read(deadline))
      const found = await this.#read(request, place, deadline)
      return typeof found === 'string' ? undefined : found
    } catch (error) {
      // No time is left for a mint, and this error names the cause.
      if (deadline.aborted) throw error
      // Without a secret or an endpoint, the mint fails too, and its error names the cause.
      return undefined
    }
  }

  async check(request: TokenRequest): Promise<StoredToken> {
    const { latest } = this.#options.secret
    return latest === undefined ? 'unreadable' : this.#read(request, this.#placeOf(request, latest))
  }

  async write(request: TokenRequest, { token, lifetime }: MintedToken, isReload: boolean): Promise<void> {
    if (!lifetime) return
    const key = requestKey(request)
    this.#serverTime.learn(token, lifetime)
    const untilMs = mintedAtMs(token, lifetime.ms)
    const isAnnounced = isReload && this.#mayAnnounceReload(key)
    if (isAnnounced) this.#tombstones.addUntil(key, untilMs)
    const recorded = { token, lifetime, afterMs: this.#tombstones.untilMs(key) }
    const written = this.#change(key, () => this.#set(request, recorded))
    const done = written.then(({ accepted }) => accepted)
    // Afterwards, because another process that drops its token then reads this one.
    const announced = isAnnounced
      ? done.then(() => this.#announce({ request, untilMs, sessionToken: undefined }))
      : undefined
    await this.#whilePending(announced ?? written)
    await done
  }

  lease(request: TokenRequest): Lease | undefined {
    const { latest } = this.#options.secret
    return latest === undefined ? undefined : this.#leases.open(this.#placeOf(request, latest).storeKey)
  }

  async invalidate(request: TokenRequest, sessionToken?: string): Promise<void> {
    const key = requestKey(request)
    const { now, serverNowMs = now.wall } = this.#serverTime.read()
    if (sessionToken !== undefined) {
      this.#tombstones.addToken(key, text => text === sessionToken)
      return this.#spread({ request, untilMs: serverNowMs, sessionToken }, { onlyCovered: true })
    }
    // A clock may be wrong: it must be later than every invalidation and mint that is known, or others ignore it.
    const laterMs = Math.max(serverNowMs, (this.#tombstones.untilMs(key) ?? -Infinity) + 1)
    this.#tombstones.addUntil(key, laterMs)
    const untilMs = Math.max(laterMs, await this.#recordedMs(request))
    this.#tombstones.addUntil(key, untilMs)
    await this.#spread({ request, untilMs, sessionToken: undefined }, { onlyCovered: false })
  }

  remove(request: TokenRequest): void {
    const key = requestKey(request)
    const { now, serverNowMs = now.wall } = this.#serverTime.read()
    this.#tombstones.addUntil(key, serverNowMs)
    void this.#change(key, () => this.#delete(request, { onlyCovered: false }))
  }

  async flush(): Promise<void> {
    await Promise.all(this.#pendingWrites)
  }

  async close(): Promise<void> {
    this.#leases.close()
    await this.flush()
    this.#channels.close()
  }

  /** Tells the other processes of a reload; again later, if the store does not accept that now. */
  async #announce(invalidation: OwnInvalidation): Promise<void> {
    if (!(await this.#channels.publish(invalidation))) this.#keepUnsent(invalidation)
  }

  /** Lets `flush` wait for a change. */
  async #whilePending(change: Promise<unknown>): Promise<void> {
    this.#pendingWrites.add(change)
    await change
    this.#pendingWrites.delete(change)
  }

  /** Removes the record and tells the other processes; again later, if the store does not accept that now. */
  async #spread(invalidation: OwnInvalidation, condition: Condition): Promise<void> {
    const { request } = invalidation
    const key = requestKey(request)
    const removed = this.#change(key, () => this.#delete(request, condition))
    const sent = this.#withPlace(request, () => this.#channels.publish(invalidation)).catch(() => false)
    const { accepted } = await removed
    const isDone = [await accepted, await sent].every(Boolean)
    if (!isDone) this.#keepUnsent(invalidation)
  }

  #keepUnsent(invalidation: OwnInvalidation): void {
    const { request, sessionToken } = invalidation
    // An invalidation of one token must not replace that of all.
    const key = plainJson([requestKey(request), sessionToken ?? ''])
    this.#unsent.delete(key)
    const [oldest] = this.#unsent.keys()
    if (oldest !== undefined && this.#unsent.size >= MAX_UNSENT) this.#unsent.delete(oldest)
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

  #receive({ request, untilMs, tokenMac }: Invalidation, keys: StoreKeys): void {
    const key = requestKey(request)
    const isToken = (text: string): boolean => tokenMacOf(text, keys) === tokenMac
    if (tokenMac !== undefined) this.#tombstones.addToken(key, isToken)
    // An old message that is sent again must not do anything.
    else if (!this.#tombstones.addUntil(key, untilMs)) return
    const { serverNowMs } = this.#serverTime.read()
    const covers = ({ sessionToken, expiresAt }: Dated, lifetimeMs: number): boolean =>
      tokenMac === undefined
        ? isMintedUntil(untilMs, { sessionToken, mintedAtMs: mintedAtMs({ expiresAt }, lifetimeMs) })
        : isToken(sessionToken)
    // If the gateway's time is not known, any mint in flight may be older.
    const olderMs = serverNowMs === undefined ? -Infinity : serverNowMs - untilMs - TOLERANCE_MS
    // A mint that is in flight returns another token than the one that is named.
    const ageMs = tokenMac === undefined ? olderMs : Infinity
    const evicted = this.#listener?.onInvalidation({ request, covers, ageMs }) ?? false
    this.#options.events.emit({ type: 'invalidation-received', evicted })
    // This process may have stored the token after the other one removed it.
    if (evicted) void this.#change(key, () => this.#delete(request, { onlyCovered: true }))
  }

  #mayAnnounceReload(key: string): boolean {
    const at = this.#options.clock.monotonic()
    const last = this.#reloads.get(key, DEFAULTS)
    if (!this.#channels.canPublish || (last && at - last.at < MS_BETWEEN_RELOADS)) return false
    this.#reloads.set(key, { at }, DEFAULTS)
    return true
  }

  async #read(request: TokenRequest, { storeKey, keys }: RecordPlace, call?: Deadline): Promise<StoredToken> {
    const record = await this.#guard.get(storeKey, call)
    if (record === UNAVAILABLE) return 'unreadable'
    if (record === undefined || record === null) return 'absent'
    try {
      const content = await openRecord(record, storeKey, keys)
      const recorded = readRecord(content, { request, origin: this.#origin, ...this.#serverTime.read() })
      if (this.#isInvalidated(request, recorded)) throw new UnusableRecord('invalidated')
      return recorded
    } catch (error) {
      const reason = error instanceof UnusableRecord ? error.fault : 'corrupt'
      this.#options.events.emit({ type: 'store-failure', operation: 'get', reason })
      return 'absent'
    }
  }

  /** Passes a change of a record to the store. `accepted` tells whether the store made it in time. */
  async #change(key: string, change: Change): Promise<{ readonly accepted: Promise<boolean> }> {
    let value: Promise<unknown> | undefined
    await this.#order.run(key, async () => {
      const outcome = await change()
      value ??= outcome?.value
      return outcome
    })
    return { accepted: Promise.resolve(value).then(result => result !== UNAVAILABLE) }
  }

  async #set(request: TokenRequest, recorded: RecordedToken): Promise<StoreOutcome | undefined> {
    const { secret, clock } = this.#options
    // The secret that the token was minted with: the provider is not called again.
    if (secret.latest === undefined) return undefined
    const { storeKey, keys } = this.#placeOf(request, secret.latest)
    const record = await sealRecord(writeRecord({ ...recorded, origin: this.#origin }), storeKey, keys)
    const ttlMs = Math.floor(remainingMs(recorded.lifetime, instant(clock)))
    if (!(ttlMs > 0) || !Number.isSafeInteger(ttlMs) || this.#isInvalidated(request, recorded)) return undefined
    return this.#guard.set(storeKey, record, ttlMs)
  }

  #delete(request: TokenRequest, { onlyCovered }: Condition): Promise<StoreOutcome | undefined> {
    return this.#withPlace(request, async place => {
      if (onlyCovered) {
        const record = await this.#guard.get(place.storeKey)
        if (record === UNAVAILABLE) return NOTHING
        if (!(await this.#isCovered(request, place, record))) return undefined
      }
      return this.#guard.delete(place.storeKey)
    })
  }

  async #isCovered(request: TokenRequest, { storeKey, keys }: RecordPlace, record: unknown): Promise<boolean> {
    if (record === undefined || record === null) return false
    try {
      const dated = datedTokenOf(await openRecord(record, storeKey, keys))
      return this.#tombstones.covers(requestKey(request), dated)
    } catch {
      // It may contain a token that is covered, and no process can use it.
      return true
    }
  }

  /** The earliest time of an invalidation that covers the stored token; `-Infinity` if that is not known. */
  async #recordedMs(request: TokenRequest): Promise<number> {
    if (!this.#options.store.publish) return -Infinity
    return this.#withPlace(request, async ({ storeKey, keys }) => {
      const record = await this.#guard.get(storeKey)
      const { mintedAtMs, afterMs = -Infinity } = datedTokenOf(await openRecord(record, storeKey, keys))
      return Math.max(mintedAtMs, afterMs + 1)
    }).catch(() => -Infinity)
  }

  /** Calls `task` with the place of a record. Rejects if the secret is not known in time. */
  async #withPlace<T>(request: TokenRequest, task: (place: RecordPlace) => Promise<T>): Promise<T> {
    const { clock, deadlineMs, secret } = this.#options
    const deadline = new Deadline(
      clock,
      deadlineMs,
      () => new VKitTimeoutError('The app secret provider did not return in time.'),
    )
    try {
      return await task(this.#placeOf(request, await secret.read(deadline)))
    } finally {
      deadline.clear()
    }
  }

  #isInvalidated(request: TokenRequest, { token, lifetime, afterMs }: RecordedToken): boolean {
    const { sessionToken } = token
    return this.#tombstones.covers(requestKey(request), {
      sessionToken,
      mintedAtMs: mintedAtMs(token, lifetime.ms),
      afterMs,
    })
  }

  #placeOf({ identity, scopes }: TokenRequest, secret: string): RecordPlace {
    if (this.#keys?.secret !== secret) {
      this.#keys = { secret, keys: deriveStoreKeys(secret) }
      this.#channels.use(this.#keys.keys)
    }
    const { keys } = this.#keys
    return { storeKey: storeKeyOf(plainJson([identity, scopes, this.#origin]), keys), keys }
  }

  get #origin(): string {
    return this.#options.endpoint().href
  }
}

/** Whether a record is removed only if an invalidation covers its token. */
interface Condition {
  readonly onlyCovered: boolean
}

type Dated = Pick<SessionToken, 'sessionToken' | 'expiresAt'>

/** The order of changes of one token's record. It does not need the secret. */
function requestKey({ identity, scopes }: TokenRequest): string {
  return plainJson([identity, scopes])
}
