import { channel, type Channel } from './diagnostics.js'
import { callListener } from './call-listener.js'
import type { VKitErrorCode } from './vkit-error.js'

/**
 * An event of the client, for logs and metrics. No event contains a secret, a token or an identity.
 *
 * Durations are in milliseconds. `background` is true for a refresh that no call waits for. `status` and `requestId` are
 * the HTTP status and the gateway's ID of the last request; they are missing if the gateway sent none. The ID is also
 * missing if it may show a secret, a token or the identity.
 */
export type VKitEvent =
  /** A token came from the cache. */
  | { readonly type: 'hit' }
  /** The call started a flight, because it could not use a cached token. */
  | { readonly type: 'miss' }
  /** The call joined a pending flight. */
  | { readonly type: 'coalesced' }
  /** The call returned a stale token and started a refresh in the background. */
  | { readonly type: 'refresh' }
  /** The gateway minted a token. */
  | {
      readonly type: 'mint'
      readonly durationMs: number
      readonly attempts: number
      readonly status: number
      readonly requestId?: string
    }
  /** An attempt failed; the next one follows after `delayMs`. */
  | {
      readonly type: 'retry'
      readonly attempt: number
      readonly delayMs: number
      readonly code: VKitErrorCode
      readonly status?: number
      readonly requestId?: string
    }
  /** A kept-alive connection was closed, so the request was sent again on a new one; not counted as an attempt. */
  | { readonly type: 'resend' }
  /** A mint failed: after all its attempts, or with `attempts: 0` because no request was sent. */
  | {
      readonly type: 'failure'
      readonly code: VKitErrorCode
      readonly retryable: boolean
      readonly attempts: number
      readonly background: boolean
      readonly status?: number
      readonly requestId?: string
    }
  /** The call returned a token that is valid for less than `minValidityMs`, because it could not get a new one. */
  | { readonly type: 'served-while-failing'; readonly code: VKitErrorCode; readonly remainingMs: number }
  /** A new token of the gateway is valid for less than the requested `minValidityMs`. */
  | { readonly type: 'short-lived'; readonly validityMs: number; readonly minValidityMs: number }
  /** The `expiresAt` of the gateway is not readable: the token was returned but not cached. */
  | { readonly type: 'unreadable-expiry' }
  /** `expiresAt` is later than the `exp` of the token. The client uses `exp`. */
  | { readonly type: 'expiry-mismatch'; readonly differenceMs: number }
  /**
   * The gateway's clock is ahead of the local clock by `skewMs`, or behind it if negative. The client corrects the
   * expiry.
   */
  | { readonly type: 'clock-skew'; readonly skewMs: number }
  /** A token was removed from the cache, because the cache was full or the gateway refused a new one. */
  | { readonly type: 'eviction'; readonly reason: 'capacity' | 'refused' }
  /** `invalidate` was called. With its option `token`: only if this token was cached. */
  | { readonly type: 'invalidation' }
  /** An invalidation, or a reload, was sent to the other processes. */
  | { readonly type: 'invalidation-sent' }
  /** Another process sent an invalidation. `evicted`: this process had the token in its cache. */
  | { readonly type: 'invalidation-received'; readonly evicted: boolean }
  /** After a 401 the secret provider returned another app secret; the mint starts again with it. */
  | { readonly type: 'secret-rotation' }
  /**
   * A mint failed after all its attempts: mints for this identity and these scopes fail immediately for `retryAfterMs`.
   */
  | { readonly type: 'key-backoff'; readonly code: VKitErrorCode; readonly retryAfterMs: number }
  /** The gateway does not accept the app secret: mints with it fail immediately for `retryAfterMs`. */
  | { readonly type: 'secret-backoff'; readonly retryAfterMs: number }
  /** A queued mint was refused, because it could not finish before its deadline. */
  | {
      readonly type: 'overload'
      readonly retryAfterMs: number
      readonly queued: number
      readonly concurrencyLimit: number
    }
  /** The gateway fails for everyone: mints fail immediately, except probes. */
  | { readonly type: 'circuit-open'; readonly retryAfterMs: number }
  /** The gateway has recovered. */
  | { readonly type: 'circuit-close' }
  /** The shared store failed or contained a record that was refused; the client continued without it. */
  | {
      readonly type: 'store-failure'
      readonly operation: StoreOperation
      readonly reason: StoreFailureReason
    }
  /** The shared store failed repeatedly; the client does not use it for a while. */
  | { readonly type: 'store-pause'; readonly durationMs: number }
  /** The shared store has recovered. */
  | { readonly type: 'store-resume' }
  /** A token came from the shared store. */
  | { readonly type: 'store-hit' }
  /** This process took the lease of a token: it mints for all processes. */
  | { readonly type: 'lease-taken' }
  /** Another process has the lease: the mint waits for its token. */
  | { readonly type: 'lease-wait' }
  /** The process with the lease needed too long, so this one mints too. */
  | { readonly type: 'lease-timeout'; readonly waitedMs: number }
  /** Leases failed repeatedly, or waiting for them was in vain: for a while, each process mints for itself. */
  | { readonly type: 'lease-pause'; readonly durationMs: number }
  /**
   * The client receives the invalidations of other processes, from now on or again. It checks a token that it cached
   * before against the store before it returns it again.
   */
  | { readonly type: 'subscription-start' }
  /**
   * The client may miss invalidations until the next `subscription-start`, because the connection was lost, or because
   * there were too many messages.
   */
  | { readonly type: 'subscription-loss'; readonly reason: 'connection' | 'flood' }

/** What the client did with the shared store. `message`: a message that it received was refused. */
export type StoreOperation = 'get' | 'set' | 'delete' | 'lease' | 'publish' | 'subscribe' | 'message'

/**
 * `error`: the store threw or rejected. `timeout`: no result within 100 ms. The others are records that the client
 * refused: `corrupt` (altered, truncated, or encrypted with another key), `version` (of another version of this
 * package), `mismatch` (for another request), `expired`, `clock-skew` (from the future), `invalidated` (removed by this
 * process before).
 */
export type StoreFailureReason =
  'error' | 'timeout' | 'corrupt' | 'version' | 'mismatch' | 'expired' | 'clock-skew' | 'invalidated'

/** The type of an event. It is also published on the `diagnostics_channel` `videokit:<type>`. */
export type VKitEventType = VKitEvent['type']
/** Receives each event synchronously, so it must be fast. Errors that it throws or rejects with are ignored. */
export type VKitEventListener = (event: VKitEvent) => void

const HIT: VKitEvent = Object.freeze({ type: 'hit' })

/** Counts events and publishes them: to `onEvent`, and on `node:diagnostics_channel` as `videokit:<type>`. */
export class Events {
  readonly #listener: VKitEventListener | undefined
  readonly #counts = new Map<VKitEventType, number>()
  readonly #channels = new Map<VKitEventType, Channel>()
  readonly #hitChannel = channel('videokit:hit')
  #hits = 0

  constructor(listener?: VKitEventListener) {
    this.#listener = listener
  }

  /** The event of the fast path: it needs no lookup, and without a listener no allocation. */
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
    to.publish(event)
    const listener = this.#listener
    if (listener) callListener(() => listener(event))
  }
}
