import { Deadline } from '../core/deadline.js'
import { VKitTimeoutError } from '../core/errors.js'
import { instant, remainingMs } from '../core/instant.js'
import { plainJson } from '../core/plain-json.js'
import type { SecretSource } from '../secret/secret-source.js'
import type { MintedToken } from '../token/session-token.js'
import type { TokenRequest } from '../token/token-request.js'
import { deriveStoreKeys, openRecord, sealRecord, storeKeyOf, UnusableRecord, type StoreKeys } from './record-crypto.js'
import { readRecord, sessionTokenOf, writeRecord } from './record.js'
import { ServerTime } from './server-time.js'
import type { SharedStore } from './shared-store.js'
import { StoreGuard, type StoreGuardOptions, type StoreOutcome } from './store-guard.js'
import { Tombstones } from './tombstones.js'
import { WriteOrder, type Write } from './write-order.js'

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

/**
 * A store that processes share. Only a process with the app secret can read and change its tokens.
 *
 * Keys depend on the secret: a process with another secret does not find them.
 */
export class EncryptedStore implements SharedStore {
  readonly #options: EncryptedStoreOptions
  readonly #guard: StoreGuard
  readonly #order = new WriteOrder()
  readonly #pendingWrites = new Set<Promise<void>>()
  readonly #tombstones = new Tombstones()
  readonly #serverTime: ServerTime
  #keys: { readonly secret: string; readonly keys: StoreKeys } | undefined

  constructor(options: EncryptedStoreOptions) {
    this.#options = options
    this.#guard = new StoreGuard(options)
    this.#serverTime = new ServerTime(options.clock)
  }

  async read(request: TokenRequest, deadline: Deadline): Promise<MintedToken | undefined> {
    try {
      return await this.#read(request, deadline)
    } catch (error) {
      // No time is left for a mint, and this error names the cause.
      if (deadline.aborted) throw error
      // Without a secret or an endpoint, the mint fails too, and its error names the cause.
      return undefined
    }
  }

  write(request: TokenRequest, { token, lifetime }: MintedToken): void {
    if (!lifetime) return
    const key = requestKey(request)
    this.#serverTime.learn(token.expiresAt, lifetime)
    this.#tombstones.noteRenewal(key, token.sessionToken)
    const written = this.#order.run(key, () => this.#set(request, { token, lifetime }))
    this.#pendingWrites.add(written)
    void written.then(() => this.#pendingWrites.delete(written))
  }

  async remove(request: TokenRequest, sessionToken?: string): Promise<void> {
    const key = requestKey(request)
    if (sessionToken === undefined) this.#tombstones.addUntil(key, this.#options.clock.now())
    else this.#tombstones.addToken(key, sessionToken)
    let removal: Promise<unknown> | undefined
    await this.#order.run(key, async () => {
      const outcome = await this.#delete(request, sessionToken)
      removal ??= outcome?.value
      return outcome
    })
    await removal
  }

  async flush(): Promise<void> {
    await Promise.all(this.#pendingWrites)
  }

  async #read(request: TokenRequest, deadline: Deadline): Promise<MintedToken | undefined> {
    const place = this.#placeOf(request, await this.#options.secret.read(deadline))
    const record = await this.#guard.get(place.storeKey, deadline.signal)
    if (record === undefined || record === null) return undefined
    try {
      const content = await openRecord(record, place.storeKey, place.keys)
      const minted = readRecord(content, { request, origin: this.#origin, ...this.#serverTime.read() })
      if (this.#isInvalidated(request, minted)) throw new UnusableRecord('invalidated')
      return minted
    } catch (error) {
      const reason = error instanceof UnusableRecord ? error.fault : 'corrupt'
      this.#options.events.emit({ type: 'store-failure', operation: 'get', reason })
      return undefined
    }
  }

  async #set(request: TokenRequest, minted: Required<MintedToken>): ReturnType<Write> {
    const { secret, clock } = this.#options
    // The secret that the token was minted with: the provider is not called again.
    if (secret.latest === undefined) return undefined
    const { storeKey, keys } = this.#placeOf(request, secret.latest)
    const record = await sealRecord(writeRecord({ ...minted, origin: this.#origin }), storeKey, keys)
    const ttlMs = Math.floor(remainingMs(minted.lifetime, instant(clock)))
    if (!(ttlMs > 0) || !Number.isSafeInteger(ttlMs) || this.#isInvalidated(request, minted)) return undefined
    return this.#guard.set(storeKey, record, ttlMs)
  }

  async #delete(request: TokenRequest, sessionToken: string | undefined): Promise<StoreOutcome | undefined> {
    const { clock, deadlineMs, secret } = this.#options
    const deadline = new Deadline(
      clock,
      deadlineMs,
      () => new VKitTimeoutError('The app secret provider did not return in time.'),
    )
    try {
      const place = this.#placeOf(request, await secret.read(deadline))
      if (sessionToken !== undefined) {
        const record = await this.#guard.get(place.storeKey, deadline.signal)
        if (!(await containsToken(record, place, sessionToken))) return undefined
      }
      return this.#guard.delete(place.storeKey)
    } finally {
      deadline.clear()
    }
  }

  #isInvalidated(request: TokenRequest, minted: MintedToken): boolean {
    return this.#tombstones.covers(requestKey(request), minted)
  }

  #placeOf({ identity, scopes }: TokenRequest, secret: string): RecordPlace {
    if (this.#keys?.secret !== secret) this.#keys = { secret, keys: deriveStoreKeys(secret) }
    const { keys } = this.#keys
    return { storeKey: storeKeyOf(plainJson([identity, scopes, this.#origin]), keys), keys }
  }

  get #origin(): string {
    return this.#options.endpoint().href
  }
}

/** The order of changes of one token's record. It does not need the secret. */
function requestKey({ identity, scopes }: TokenRequest): string {
  return plainJson([identity, scopes])
}

async function containsToken(record: unknown, place: RecordPlace, sessionToken: string): Promise<boolean> {
  if (record === undefined || record === null) return false
  // A record that cannot be decrypted may contain the token, and no process can use it.
  const content = await openRecord(record, place.storeKey, place.keys).catch(() => undefined)
  return content === undefined || sessionTokenOf(content) === sessionToken
}
