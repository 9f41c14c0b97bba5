import { Deadline } from '../core/deadline.js'
import { instant, remainingMs } from '../core/instant.js'
import { plainJson } from '../core/plain-json.js'
import type { SecretSource } from '../secret/secret-source.js'
import type { TokenRequest } from '../token/token-request.js'
import {
  deriveStoreKeys,
  openRecord,
  sealRecord,
  storeKeyOf,
  turnOfCrypto,
  UnusableRecord,
  type StoreKeys,
} from './record-crypto.js'
import { datedTokenOf, readRecord, writeRecord, type RecordedToken } from './record.js'
import { mintedAtMs, type ServerTime } from './server-time.js'
import type { StoreChange, StoredToken } from './shared-store.js'
import { NOTHING, UNAVAILABLE, type StoreGuard, type StoreGuardOptions, type StoreOutcome } from './store-guard.js'
import type { Tombstones } from './tombstones.js'
import { WriteOrder } from './write-order.js'

/** What the records of a store depend on. */
export interface RecordsOptions extends StoreGuardOptions {
  readonly secret: SecretSource
  /** The gateway of the tokens: a token of one gateway does not work with another. */
  readonly endpoint: () => URL
  /** The time limit for changes to get the secret. */
  readonly deadlineMs: number
}

interface RecordsContext extends RecordsOptions {
  readonly guard: StoreGuard
  readonly tombstones: Tombstones
  readonly serverTime: ServerTime
  /** Called with the keys of a secret that is used from now on. */
  readonly onKeys: (keys: StoreKeys) => void
}

/** The key of a record in the store, and its encryption key. */
export interface RecordPlace {
  readonly storeKey: string
  readonly keys: StoreKeys
  readonly origin: string
}

/** Whether a record is removed only if an invalidation covers its token. */
export interface Condition {
  readonly onlyCovered: boolean
}

/** A change that was passed to the store. */
export interface PassedChange extends StoreChange {
  /** Whether the store made it in time. */
  readonly accepted: Promise<boolean>
}

/** So many turns are enough for another call that has just begun to derive the keys. */
const MAX_TURNS = 3

type Change = () => Promise<StoreOutcome | undefined>

/** The encrypted records of tokens, in the order of their changes. No method rejects, except where it says so. */
export class Records {
  readonly #options: RecordsContext
  readonly #order = new WriteOrder()
  /** A mint needs its place several times. */
  readonly #places = new WeakMap<TokenRequest, RecordPlace>()
  /** The last secret whose keys a call began to derive. */
  #deriving: string | undefined
  #keys: { readonly secret: string; readonly keys: StoreKeys } | undefined

  constructor(options: RecordsContext) {
    this.#options = options
  }

  /** Reads a record. `call` ends the wait for the store. */
  async read(request: TokenRequest, place: RecordPlace, call?: Deadline): Promise<StoredToken> {
    const { storeKey, keys, origin } = place
    const record = await this.#options.guard.get(storeKey, call)
    if (record === UNAVAILABLE) return 'unreadable'
    if (record === undefined || record === null) return 'absent'
    try {
      const content = await openRecord(record, storeKey, keys)
      const recorded = readRecord(content, { request, origin, ...this.#options.serverTime.read() })
      if (this.#isInvalidated(request, recorded)) throw new UnusableRecord('invalidated')
      return recorded
    } catch (error) {
      const reason = error instanceof UnusableRecord ? error.fault : 'corrupt'
      this.#options.events.emit({ type: 'store-failure', operation: 'get', reason })
      return 'absent'
    }
  }

  /** Writes a record. Resolves when the store has been asked for it. */
  write(request: TokenRequest, recorded: RecordedToken): Promise<PassedChange> {
    return this.#change(request, () => this.#set(request, recorded))
  }

  /** Removes a record. Resolves when the store has been asked for it. */
  remove(request: TokenRequest, condition: Condition): Promise<PassedChange> {
    return this.#change(request, () => this.#delete(request, condition))
  }

  /** The earliest time of an invalidation that covers the stored token; `-Infinity` if that is not known. */
  async earliestInvalidationMs(request: TokenRequest): Promise<number> {
    if (!this.#options.store.publish) return -Infinity
    return this.withPlace(request, async ({ storeKey, keys }) => {
      const record = await this.#options.guard.get(storeKey)
      const { mintedAtMs, afterMs = -Infinity } = datedTokenOf(await openRecord(record, storeKey, keys))
      return Math.max(mintedAtMs, afterMs + 1)
    }).catch(() => -Infinity)
  }

  /** Calls `task` with the place of a record. Rejects if the secret is not known in time. */
  async withPlace<T>(request: TokenRequest, task: (place: RecordPlace) => Promise<T>): Promise<T> {
    const { clock, deadlineMs, secret } = this.#options
    // Its error has no text, because each caller ignores it.
    const deadline = new Deadline(clock, deadlineMs, () => new Error())
    try {
      return await task(await this.placeOf(request, await secret.read(deadline)))
    } finally {
      deadline.clear()
    }
  }

  /** The place of a record, with this secret. */
  async placeOf(request: TokenRequest, secret: string): Promise<RecordPlace> {
    const keys = this.#keys?.secret === secret ? this.#keys.keys : await this.#deriveKeys(secret)
    const known = this.#places.get(request)
    if (known?.keys === keys) return known
    const { identity, scopes } = request
    const origin = this.#options.endpoint().href
    const place = { storeKey: await storeKeyOf(plainJson([identity, scopes, origin]), keys), keys, origin }
    this.#places.set(request, place)
    return place
  }

  /**
   * Waits only for work of its own call: at the edge, a promise of another request may never settle. Nevertheless, most of
   * the first calls need not derive the keys, because those of an earlier call are ready when this one has its turn.
   */
  async #deriveKeys(secret: string): Promise<StoreKeys> {
    for (let turn = 0; turn < MAX_TURNS && this.#deriving === secret; turn++) {
      await turnOfCrypto()
      if (this.#keys?.secret === secret) return this.#keys.keys
    }
    this.#deriving = secret
    const keys = await deriveStoreKeys(secret)
    this.#keys = { secret, keys }
    this.#options.onKeys(keys)
    return keys
  }

  async #change(request: TokenRequest, change: Change): Promise<PassedChange> {
    let first: StoreOutcome | undefined
    const { settled } = await this.#order.run(requestKey(request), async () => {
      const outcome = await change()
      first ??= outcome
      return outcome
    })
    return { accepted: Promise.resolve(first?.value).then(result => result !== UNAVAILABLE), settled }
  }

  async #set(request: TokenRequest, recorded: RecordedToken): Promise<StoreOutcome | undefined> {
    const { secret, clock } = this.#options
    // The secret that the token was minted with: the provider is not called again.
    if (secret.latest === undefined) return undefined
    const { storeKey, keys, origin } = await this.placeOf(request, secret.latest)
    const record = await sealRecord(writeRecord({ ...recorded, origin }), storeKey, keys)
    const ttlMs = Math.floor(remainingMs(recorded.lifetime, instant(clock)))
    if (!(ttlMs > 0) || !Number.isSafeInteger(ttlMs) || this.#isInvalidated(request, recorded)) return undefined
    return this.#options.guard.set(storeKey, record, ttlMs)
  }

  #delete(request: TokenRequest, { onlyCovered }: Condition): Promise<StoreOutcome | undefined> {
    return this.withPlace(request, async place => {
      if (onlyCovered) {
        const record = await this.#options.guard.get(place.storeKey)
        if (record === UNAVAILABLE) return NOTHING
        if (!(await this.#isCovered(request, place, record))) return undefined
      }
      return this.#options.guard.delete(place.storeKey)
    })
  }

  async #isCovered(request: TokenRequest, { storeKey, keys }: RecordPlace, record: unknown): Promise<boolean> {
    if (record === undefined || record === null) return false
    try {
      const dated = datedTokenOf(await openRecord(record, storeKey, keys))
      return this.#options.tombstones.covers(requestKey(request), dated)
    } catch {
      // It may contain a token that is covered, and no process can use it.
      return true
    }
  }

  #isInvalidated(request: TokenRequest, { token, lifetime, afterMs }: RecordedToken): boolean {
    const { sessionToken } = token
    return this.#options.tombstones.covers(requestKey(request), {
      sessionToken,
      mintedAtMs: mintedAtMs(token, lifetime.ms),
      afterMs,
    })
  }
}

/** Names a request, whatever the secret. */
export function requestKey({ identity, scopes }: TokenRequest): string {
  return plainJson([identity, scopes])
}
