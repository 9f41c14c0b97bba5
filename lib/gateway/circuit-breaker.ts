import { backoffMs, type Backoff, type Random } from '../core/backoff.js'
import type { Clock } from '../core/clock.js'
import { VKitServerError } from '../core/errors.js'
import type { Events } from '../core/events.js'
import { VKitError } from '../core/vkit-error.js'

const FAILURES_TO_OPEN = 5
const FIRST_PROBE_MS = 1_000
const LONGEST_PROBE_MS = 30_000
const PROBES: Backoff = { firstMs: FIRST_PROBE_MS, longestMs: LONGEST_PROBE_MS }

/** `closed`: mints go through. `open`: they fail at once. `half-open`: the next one is a probe. */
export type CircuitState = 'closed' | 'open' | 'half-open'

export interface CircuitBreakerOptions {
  readonly clock: Clock
  readonly events: Events
  readonly random: Random
}

/**
 * Stops asking a gateway that does not answer, and finds out when it does again.
 *
 * Five retryable failures in a row open it. While it is open a call fails at once, except one probe after each
 * full-jitter backoff; any other response closes it.
 */
export class CircuitBreaker {
  readonly #clock: Clock
  readonly #events: Events
  readonly #random: Random
  #failures = 0
  #open = false
  #probes = 0
  #nextProbeAt = 0

  constructor({ clock, events, random }: CircuitBreakerOptions) {
    this.#clock = clock
    this.#events = events
    this.#random = random
  }

  get state(): CircuitState {
    if (!this.#open) return 'closed'
    return this.#msUntilProbe() > 0 ? 'open' : 'half-open'
  }

  /** Throws the error that `run` would, without using up the probe. */
  check(): void {
    const retryAfterMs = this.#msUntilProbe()
    if (!this.#open || retryAfterMs <= 0) return
    throw new VKitServerError('The gateway has failed repeatedly and is given a pause. Try again after retryAfterMs.', {
      retryAfterMs: Math.ceil(retryAfterMs),
    })
  }

  /** `isLocalFailure` says whether a failure was made on this side, and so says nothing about the gateway. */
  async run<T>(task: () => Promise<T>, isLocalFailure: (error: VKitError) => boolean = () => false): Promise<T> {
    this.check()
    const isProbe = this.#open
    // Set now and not when the probe fails: a probe that never settles must not be the last one.
    if (isProbe) this.#scheduleProbe()
    try {
      const result = await task()
      this.#close()
      return result
    } catch (error) {
      const isKnown = error instanceof VKitError && !isLocalFailure(error)
      if (isKnown && error.retryable) this.#fail(error.retryAfterMs)
      // A refusal is an answer: the gateway is there.
      else if (isKnown && error.status !== undefined) this.#close()
      else if (isProbe) this.#releaseProbe()
      throw error
    }
  }

  #fail(retryAfterMs = 0): void {
    this.#failures++
    if (!this.#open) {
      if (this.#failures < FAILURES_TO_OPEN) return
      this.#open = true
      this.#probes = 0
      this.#scheduleProbe()
    }
    // What one identity was told to wait must not keep all others waiting longer than an outage would.
    const pauseMs = Math.min(retryAfterMs, LONGEST_PROBE_MS)
    this.#nextProbeAt = Math.max(this.#nextProbeAt, this.#clock.monotonic() + pauseMs)
    if (this.#failures === FAILURES_TO_OPEN) {
      this.#events.emit({ type: 'circuit-open', retryAfterMs: Math.ceil(this.#msUntilProbe()) })
    }
  }

  #close(): void {
    this.#failures = 0
    if (!this.#open) return
    this.#open = false
    this.#events.emit({ type: 'circuit-close' })
  }

  #scheduleProbe(): void {
    this.#nextProbeAt = this.#clock.monotonic() + backoffMs(this.#probes++, PROBES, this.#random)
  }

  /** It found out nothing, so the next call may. */
  #releaseProbe(): void {
    if (!this.#open) return
    this.#probes = Math.max(0, this.#probes - 1)
    this.#nextProbeAt = Math.min(this.#nextProbeAt, this.#clock.monotonic())
  }

  #msUntilProbe(): number {
    return this.#nextProbeAt - this.#clock.monotonic()
  }
}
