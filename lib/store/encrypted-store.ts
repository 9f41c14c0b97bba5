import { Deadline } from '../core/deadline.js'
import { VKitTimeoutError } from '../core/errors.js'
import { instant, remainingMs, type Instant } from '../core/instant.js'
import { DEFAULTS, makeLru } from '../core/lru.js'
import { plainJson } from '../core/plain-json.js'
import type { SecretSource } from '../secret/secret-source.js'
import { parseExpiry } from '../token/expiry.js'
import type { MintedToken } from '../token/session-token.js'
import type { TokenRequest } from '../token/token-request.js'
import { deriveStoreKeys, openRecord, sealRecord, storeKeyOf, UnusableRecord, type StoreKeys } from './record-crypto.js'
import { readRecord, sessionTokenOf, writeRecord } from './record.js'
import type { SharedStore } from './shared-store.js'
import { StoreGuard, type StoreGuardOptions, type StoreOutcome } from './store-guard.js'
import { MutationOrder, type Mutation } from './write-order.js'

export interface SealedStoreOptions extends StoreGuardOptions {
  readonly secret: SecretSource
  /** Where the tokens are minted: those of one gateway are of no use with another. */
  readonly endpoint: () => URL
  /** How long `remove` may wait for the secret. */
  readonly deadlineMs: number
}

/** What must not come back from the store: all that was minted until then, or this one token. */
interface Forgotten {
  readonly untilMs?: number
  readonly sessionToken?: string
  /** What this process has put in its place since. */
  readonly renewed?: string
}

const MAX_FORGOTTEN = 10_000

/**
 * A store that processes share, in which nobody reads or changes a token who has not the app secret.
 *
 * Keys follow the secret: with another one, whatever is stored is not there.
 */
export class SealedStore implements SharedStore {
  readonly #options: SealedStoreOptions
  readonly #guard: StoreGuard
  readonly #order = new MutationOrder()
  readonly #handing = new Set<Promise<void>>()
  /** The store may lose a removal, or be late with it; this process at least does not take back what it has forgotten. */
  readonly #forgotten = makeLru<Forgotten>({ max: MAX_FORGOTTEN })
  #keys: { readonly secret: string; readonly keys: StoreKeys } | undefined
  /** The gateway's time at some moment of ours, learnt from a token that it minted for us. */
  #serverTime: { readonly ms: number; readonly at: Instant } | undefined

  constructor(options: SealedStoreOptions) {
    this.#options = options
    this.#guard = new StoreGuard(options)
  }

  async read(request: TokenRequest, deadline: Deadline): Promise<MintedToken | undefined> {
    try {
      return await this.#read(request, deadline)
    } catch (error) {
      // There is no time left in which to mint: this says why.
      if (deadline.aborted) throw error
      // No secret, or no endpoint: whoever mints will say so.
      return undefined
    }
  }

  write(request: TokenRequest, { token, lifetime }: MintedToken): void {
    if (!lifetime) return
    const expiresAtMs = parseExpiry(token.expiresAt)
    if (expiresAtMs !== undefined) this.#serverTime = { ms: expiresAtMs - lifetime.ms, at: lifetime.start }
    const lane = laneOf(request)
    const forgotten = this.#forgotten.get(lane, DEFAULTS)
    if (forgotten) this.#forgotten.set(lane, { ...forgotten, renewed: token.sessionToken }, DEFAULTS)
    const handed = this.#order.run(lane, () => this.#set(request, { token, lifetime }))
    this.#handing.add(handed)
    void handed.then(() => this.#handing.delete(handed))
  }

  async remove(request: TokenRequest, sessionToken?: string): Promise<void> {
    const lane = laneOf(request)
    if (sessionToken === undefined) this.#forgotten.set(lane, { untilMs: this.#options.clock.now() }, DEFAULTS)
    else this.#forgotten.set(lane, { ...this.#forgotten.get(lane, DEFAULTS), sessionToken }, DEFAULTS)
    let done: Promise<unknown> | undefined
    await this.#order.run(lane, async () => {
      const outcome = await this.#delete(request, sessionToken)
      done ??= outcome?.value
      return outcome
    })
    await done
  }

  async flush(): Promise<void> {
    await Promise.all(this.#handing)
  }

  async #read(request: TokenRequest, deadline: Deadline): Promise<MintedToken | undefined> {
    const keys = this.#keysOf(await this.#options.secret.read(deadline))
    const storeKey = this.#storeKeyOf(request, keys)
    const record = await this.#guard.get(storeKey, deadline.signal)
    if (record === undefined || record === null) return undefined
    try {
      const content = await openRecord(record, storeKey, keys)
      const minted = readRecord(content, { request, origin: this.#origin, ...this.#time() })
      if (this.#isForgotten(request, minted)) throw new UnusableRecord('invalidated')
      return minted
    } catch (error) {
      const reason = error instanceof UnusableRecord ? error.fault : 'corrupt'
      this.#options.events.emit({ type: 'store-failure', operation: 'get', reason })
      return undefined
    }
  }

  async #set(request: TokenRequest, minted: Required<MintedToken>): ReturnType<Mutation> {
    const { secret, clock } = this.#options
    // The one that the token was just minted with: nobody is asked for it a second time.
    if (secret.latest === undefined) return undefined
    const keys = this.#keysOf(secret.latest)
    const storeKey = this.#storeKeyOf(request, keys)
    const record = await sealRecord(writeRecord({ ...minted, origin: this.#origin }), storeKey, keys)
    const ttlMs = Math.floor(remainingMs(minted.lifetime, instant(clock)))
    if (!(ttlMs > 0) || !Number.isSafeInteger(ttlMs) || this.#isForgotten(request, minted)) return undefined
    return this.#guard.set(storeKey, record, ttlMs)
  }

  async #delete(request: TokenRequest, sessionToken: string | undefined): Promise<StoreOutcome | undefined> {
    const { clock, deadlineMs, secret } = this.#options
    const deadline = new Deadline(clock, deadlineMs, () => new VKitTimeoutError('No secret came in time.'))
    try {
      const keys = this.#keysOf(await secret.read(deadline))
      const storeKey = this.#storeKeyOf(request, keys)
      if (sessionToken !== undefined) {
        const record = await this.#guard.get(storeKey, deadline.signal)
        if (!(await holds({ record, storeKey, keys }, sessionToken))) return undefined
      }
      return this.#guard.delete(storeKey)
    } finally {
      deadline.clear()
    }
  }

  #isForgotten(request: TokenRequest, { token, lifetime }: MintedToken): boolean {
    const forgotten = this.#forgotten.get(laneOf(request), DEFAULTS)
    if (!forgotten) return false
    const { untilMs = -Infinity, sessionToken, renewed } = forgotten
    if (token.sessionToken === sessionToken) return true
    return token.sessionToken !== renewed && (lifetime?.start.wall ?? 0) <= untilMs
  }

  #keysOf(secret: string): StoreKeys {
    if (this.#keys?.secret !== secret) this.#keys = { secret, keys: deriveStoreKeys(secret) }
    return this.#keys.keys
  }

  #storeKeyOf({ identity, scopes }: TokenRequest, keys: StoreKeys): string {
    return storeKeyOf(plainJson([identity, scopes, this.#origin]), keys)
  }

  get #origin(): string {
    return this.#options.endpoint().href
  }

  #time(): { now: Instant; serverNowMs: number | undefined } {
    const now = instant(this.#options.clock)
    if (!this.#serverTime) return { now, serverNowMs: undefined }
    const { ms, at } = this.#serverTime
    return { now, serverNowMs: ms + Math.max(now.wall - at.wall, now.monotonic - at.monotonic) }
  }
}

/** Changes of one token's record are put in order by this: it is known before the secret is. */
function laneOf({ identity, scopes }: TokenRequest): string {
  return plainJson([identity, scopes])
}

async function holds(
  { record, storeKey, keys }: { record: unknown; storeKey: string; keys: StoreKeys },
  sessionToken: string,
): Promise<boolean> {
  if (record === undefined || record === null) return false
  // What cannot be read cannot be told from the token to be forgotten, and is of no use to anybody.
  const content = await openRecord(record, storeKey, keys).catch(() => undefined)
  return content === undefined || sessionTokenOf(content) === sessionToken
}
