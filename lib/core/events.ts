import { channel, type Channel } from 'node:diagnostics_channel'
import { callListener } from './call-listener.js'
import type { VKitErrorCode } from './vkit-error.js'

/**
 * What happened inside the client, for logs and metrics. No event carries a secret, a token or an identity.
 *
 * Durations are in milliseconds. `background` is true for a refresh that no call waits for.
 */
export type VKitEvent =
  /** A token came from the cache. */
  | { readonly type: 'hit' }
  /** No token in the cache could be served; a flight was started for it. */
  | { readonly type: 'miss' }
  /** The call joined a flight that was already under way. */
  | { readonly type: 'coalesced' }
  /** A cached token was served, and a background flight started to replace it. */
  | { readonly type: 'refresh' }
  /** The gateway minted a token. */
  | { readonly type: 'mint'; readonly durationMs: number; readonly attempts: number }
  /** An attempt failed and another follows after `delayMs`. */
  | { readonly type: 'retry'; readonly attempt: number; readonly delayMs: number; readonly code: VKitErrorCode }
  /** A reused connection was found dead, and the request was sent again on a fresh one; not counted as an attempt. */
  | { readonly type: 'resend' }
  /** A mint failed for good. */
  | {
      readonly type: 'failure'
      readonly code: VKitErrorCode
      readonly retryable: boolean
      readonly attempts: number
      readonly background: boolean
    }
  /** A cached token past its time for renewal was served because minting a new one failed. */
  | { readonly type: 'served-while-failing'; readonly code: VKitErrorCode; readonly remainingMs: number }
  /** A token fresh from the gateway is valid for less than the call asked for. */
  | { readonly type: 'short-lived'; readonly validityMs: number; readonly minValidityMs: number }
  /** The gateway's `expiresAt` could not be read: the token was returned, not cached. */
  | { readonly type: 'unreadable-expiry' }
  /** `expiresAt` is later than the token's own `exp`, which was believed. */
  | { readonly type: 'expiry-mismatch'; readonly differenceMs: number }
  /** The gateway's clock is ahead of ours by `skewMs`, or behind it where that is negative; expiry was corrected. */
  | { readonly type: 'clock-skew'; readonly skewMs: number }
  /** A token left the cache: for want of room, or because the gateway no longer grants it. */
  | { readonly type: 'eviction'; readonly reason: 'capacity' | 'refused' }
  /** A token was forgotten on request. */
  | { readonly type: 'invalidation' }
  /** The provider gave another app secret than the one that was refused; the mint is replayed with it. */
  | { readonly type: 'secret-rotation' }
  /** A mint failed for good: more for the same identity and scopes fail at once for `retryAfterMs`. */
  | { readonly type: 'key-backoff'; readonly code: VKitErrorCode; readonly retryAfterMs: number }
  /** The gateway does not accept the app secret: mints with it fail at once for `retryAfterMs`. */
  | { readonly type: 'secret-backoff'; readonly retryAfterMs: number }
  /** A mint was refused at its turn, because it could not have been done before its deadline. */
  | {
      readonly type: 'overload'
      readonly retryAfterMs: number
      readonly queued: number
      readonly concurrencyLimit: number
    }
  /** The gateway failed for everyone: mints fail at once for now. */
  | { readonly type: 'circuit-open'; readonly retryAfterMs: number }
  /** The gateway answers again. */
  | { readonly type: 'circuit-close' }
  /** The shared store failed, or held a record that is not to be trusted; it was treated as a miss. */
  | {
      readonly type: 'store-failure'
      readonly operation: 'get' | 'set' | 'delete'
      readonly reason: StoreFailureReason
    }
  /** The shared store failed repeatedly and is left alone for a while. */
  | { readonly type: 'store-pause'; readonly durationMs: number }
  /** The shared store answers again. */
  | { readonly type: 'store-resume' }
  /** A token came from the shared store. */
  | { readonly type: 'store-hit' }

/**
 * `error`: it threw or rejected. `timeout`: nothing came within 100 ms. The rest are records that were refused: `corrupt`
 * (altered, cut short, or sealed under another key), `version` (of another version of this package), `mismatch` (for
 * another request), `expired`, `clock-skew` (from the future), `invalidated` (forgotten by this process already).
 */
export type StoreFailureReason =
  'error' | 'timeout' | 'corrupt' | 'version' | 'mismatch' | 'expired' | 'clock-skew' | 'invalidated'

/** What an event is called; its `diagnostics_channel` is `videokit:<type>`. */
export type VKitEventType = VKitEvent['type']
/** Told each event as it happens, inside the call: it must be quick. What it throws or rejects with is ignored. */
export type VKitEventListener = (event: VKitEvent) => void

const HIT: VKitEvent = Object.freeze({ type: 'hit' })

/** Counts what happens, and tells those who listen: `onEvent`, and `node:diagnostics_channel` as `videokit:<type>`. */
export class Events {
  readonly #listener: VKitEventListener | undefined
  readonly #counts = new Map<VKitEventType, number>()
  readonly #channels = new Map<VKitEventType, Channel>()
  readonly #hitChannel = channel('videokit:hit')
  #hits = 0

  constructor(listener?: VKitEventListener) {
    this.#listener = listener
  }

  /** The one event of the fast path: nothing is looked up, and without a listener nothing is allocated. */
  hit(): void {
    this.#hits++
    if (this.#listener || this.#hitChannel.hasSubscribers) this.#publish(HIT, this.#hitChannel)
  }

  emit(event: VKitEvent): void {
    this.#counts.set(event.type, this.count(event.type) + 1)
    this.#publish(event, this.#channel(event.type))
  }

  count(type: VKitEventType): number {
    return type === 'hit' ? this.#hits : (this.#counts.get(type) ?? 0)
  }

  #channel(type: VKitEventType): Channel {
    let found = this.#channels.get(type)
    if (!found) this.#channels.set(type, (found = channel(`videokit:${type}`)))
    return found
  }

  #publish(event: VKitEvent, to: Channel): void {
    if (to.hasSubscribers) to.publish(event)
    const listener = this.#listener
    if (listener) callListener(() => listener(event))
  }
}
