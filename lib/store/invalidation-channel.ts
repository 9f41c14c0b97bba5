import { backoffMs, type Backoff } from '../core/backoff.js'
import { DEFAULTS, makeLru } from '../core/lru.js'
import { onAbort } from '../core/on-abort.js'
import { RateLimit } from '../core/rate-limit.js'
import { channelOf, isAuthentic, messageIdOf, openMessage, sealMessage } from './invalidation-message.js'
import type { Invalidation } from './invalidation.js'
import { MAX_RECORD_LENGTH } from './max-record-length.js'
import type { StoreKeys, UnusableRecord } from './record-crypto.js'
import { UNAVAILABLE, type StoreGuard, type StoreGuardOptions } from './store-guard.js'
import type { StoreSubscription } from './token-store.js'

export interface InvalidationChannelOptions extends StoreGuardOptions {
  readonly guard: StoreGuard
  readonly keys: StoreKeys
  /** The gateway of the tokens. */
  readonly origin: string
  readonly onInvalidation: (invalidation: Invalidation) => void
  /** Called when the subscription starts, and when it starts again: messages may have been missed before. */
  readonly onStart: () => void
  /** Called every few seconds while messages arrive. */
  readonly onPing: () => void
}

const SUBSCRIBE_TIMEOUT_MS = 5_000
const RETRIES: Backoff = { firstMs: 100, longestMs: 500, jitter: 0.5 }
const PING_EVERY_MS = 5_000
const PING_TIMEOUT_MS = 2_000

/** In units of one check of an HMAC, which takes about 5 µs; so messages take at most a twentieth of the CPU time. */
const UNITS_PER_SECOND = 10_000
const UNITS_PER_DECRYPTION = 40
/** A longer message takes a unit more for each of these. */
const CHARACTERS_PER_UNIT = 8_192
const FLOOD_PAUSE_MS = 1_000
/** Forged messages must not flood the log. */
const REFUSALS_PER_SECOND = 1
const MAX_SEEN = 1_000
const SEEN = {}

/**
 * Sends and receives the invalidations of the processes with one app secret.
 *
 * Others may write to the channel too: a message is used only if it is authentic, at most once, and only as many as this
 * process can check without delaying its calls.
 */
export class InvalidationChannel {
  readonly #options: InvalidationChannelOptions
  readonly #closing = new AbortController()
  /** Ends the subscription. */
  #lost = new AbortController()
  readonly #units: RateLimit
  readonly #refusals: RateLimit
  /** The last authentic messages, and those that this process sent. */
  readonly #seen = makeLru({ max: MAX_SEEN })
  #isSubscribed = false
  #isFlooded = false

  constructor(options: InvalidationChannelOptions) {
    this.#options = options
    this.#units = new RateLimit(options.clock, UNITS_PER_SECOND)
    this.#refusals = new RateLimit(options.clock, REFUSALS_PER_SECOND)
    void this.#subscribeForever()
  }

  /** Returns whether the store accepted the message. Never rejects. */
  async publish(invalidation: Invalidation): Promise<boolean> {
    const { guard, keys, origin, events } = this.#options
    const message = await sealMessage(invalidation, origin, keys).catch(() => undefined)
    if (message === undefined || this.#isClosed()) return false
    this.#seen.set(messageIdOf(message), SEEN, DEFAULTS)
    if ((await guard.publish(channelOf(keys), message).value) === UNAVAILABLE) return false
    events.emit({ type: 'invalidation-sent' })
    return true
  }

  close(): void {
    this.#closing.abort('closed')
    this.#lost.abort('closed')
  }

  #isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  async #subscribeForever(): Promise<void> {
    const { clock, random, events } = this.#options
    const { signal } = this.#closing
    for (let failures = 0; !this.#isClosed(); failures++) {
      const subscription = await this.#subscribe()
      if (subscription) {
        failures = 0
        this.#isSubscribed = true
        this.#start()
        await subscription.end
        this.#isSubscribed = false
        if (!this.#isClosed()) events.emit({ type: 'subscription-loss', reason: 'connection' })
      }
      await clock.sleep(backoffMs(failures, RETRIES, random), signal)
    }
  }

  /** Returns a promise of the end of the subscription, or undefined if there is none. */
  async #subscribe(): Promise<{ readonly end: Promise<void> } | undefined> {
    const { store, keys, events } = this.#options
    const lost = (this.#lost = new AbortController())
    const task = async (): Promise<StoreSubscription | undefined> =>
      store.subscribe?.(channelOf(keys), {
        onMessage: message => this.#receive(message),
        onLost: () => lost.abort('lost'),
      })
    const pending = task()
    const subscription = await this.#inTime(SUBSCRIBE_TIMEOUT_MS, pending, lost.signal).catch(() => undefined)
    if (!subscription || lost.signal.aborted) {
      // It may still come.
      void pending.then(close, () => undefined)
      if (!this.#isClosed()) events.emit({ type: 'store-failure', operation: 'subscribe', reason: 'error' })
      return undefined
    }
    return { end: this.#untilLost(subscription, lost.signal).finally(() => close(subscription)) }
  }

  #start(): void {
    if (this.#isFlooded || !this.#isSubscribed || this.#isClosed()) return
    this.#options.events.emit({ type: 'subscription-start' })
    this.#options.onStart()
  }

  async #untilLost(subscription: StoreSubscription, lost: AbortSignal): Promise<void> {
    for (;;) {
      await this.#options.clock.sleep(PING_EVERY_MS, lost)
      if (lost.aborted) return
      const ping = new Promise<unknown>(resolve => resolve(subscription.ping?.())).then(() => true)
      const works = await this.#inTime(PING_TIMEOUT_MS, ping, lost).catch(() => false)
      if (!works) return
      this.#options.onPing()
    }
  }

  /** Returns the result of `task`, or undefined after `ms` or when the subscription ends. */
  async #inTime<T>(ms: number, task: Promise<T>, lost: AbortSignal): Promise<T | undefined> {
    const timer = new AbortController()
    const stop = onAbort(lost, () => timer.abort(lost.reason))
    // `onAbort` is for signals that may abort later.
    if (lost.aborted) timer.abort(lost.reason)
    try {
      return await Promise.race([task, this.#options.clock.sleep(ms, timer.signal).then(() => undefined)])
    } finally {
      stop()
      timer.abort('done')
    }
  }

  #receive(message: unknown): void {
    const { keys } = this.#options
    if (this.#isFlooded || this.#isClosed()) return
    const isReadable = typeof message === 'string' && message.length <= MAX_RECORD_LENGTH
    if (!this.#units.spend(1 + (isReadable ? message.length / CHARACTERS_PER_UNIT : 0))) return this.#pauseInFlood()
    if (!isReadable) return this.#refuse()
    const id = messageIdOf(message)
    if (this.#seen.has(id, DEFAULTS)) return
    if (!isAuthentic(message, keys)) return this.#refuse()
    if (!this.#units.spend(UNITS_PER_DECRYPTION)) return this.#pauseInFlood()
    this.#seen.set(id, SEEN, DEFAULTS)
    void this.#open(message)
  }

  async #open(message: string): Promise<void> {
    const { keys, origin, onInvalidation } = this.#options
    try {
      const invalidation = await openMessage(message, origin, keys)
      if (!this.#isClosed()) onInvalidation(invalidation)
    } catch (error) {
      if ((error as Partial<UnusableRecord>).fault !== 'mismatch') this.#refuse()
    }
  }

  #refuse(): void {
    if (!this.#refusals.spend(1)) return
    this.#options.events.emit({ type: 'store-failure', operation: 'message', reason: 'corrupt' })
  }

  /** Reads no more messages for a while, as if the subscription were lost. */
  #pauseInFlood(): void {
    this.#isFlooded = true
    this.#options.events.emit({ type: 'subscription-loss', reason: 'flood' })
    void this.#options.clock.sleep(FLOOD_PAUSE_MS, this.#closing.signal).then(() => {
      this.#isFlooded = false
      this.#start()
    })
  }
}

function close(subscription: StoreSubscription | undefined): void {
  // `new Promise`, because a store may throw synchronously.
  new Promise(resolve => resolve(subscription?.close())).catch(() => undefined)
}
