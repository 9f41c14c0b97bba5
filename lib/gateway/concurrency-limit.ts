import { WORK_ENDS_WITH_REQUEST } from '../core/request-context.js'
import type { AttemptOutcome } from './attempt-outcome.js'

const INITIAL_LIMIT = 50
const MIN_LIMIT = 10
/** A step up pays off if throughput grew by at least this fraction of the limit's growth. */
const GAIN_FRACTION = 0.4
/** A step down pays off if throughput fell by at most this fraction. */
const LOSS_FRACTION = 0.03
const MIN_SAMPLES = 10
const HOLD_MS = 5_000
/** The first steps are repeated sooner: new connections and code that is not optimized yet make them look worse. */
const FIRST_HOLD_MS = 1_000
const HOLD_AFTER_SHRINKING_MS = 1_000
const FIRST_FACTOR = 2
const LATER_FACTOR = 1.25
const OVERLOAD_FACTOR = 0.67
/** The weight of the newest sample in an average. */
const LOAD_WEIGHT = 0.1
const LATENCY_WEIGHT = 0.2

/** How an attempt ended, as far as it shows the gateway's load. */
export interface EndedAttempt {
  readonly result: AttemptOutcome['kind']
  readonly sentAt: number
  readonly endedAt: number
  /** Whether other attempts were waiting for a slot. */
  readonly hasQueue: boolean
}

interface Measurement {
  readonly limit: number
  /** Successes per millisecond, by Little's law: in flight / latency. */
  readonly throughput: number
}

type Phase =
  /** The limit does not change until `until`. */
  | { readonly kind: 'holding'; readonly until: number }
  /** The limit was changed; the successes of requests sent since then show whether the change paid off. */
  | { readonly kind: 'judging'; readonly before: Measurement }

/**
 * Limits how many mints may be in flight: as many as increase throughput.
 *
 * A slow gateway serves twice as many mints at twice the limit; a full gateway responds later instead. Each step is
 * compared with the measurement just before it, never with the best latency seen. Otherwise, a gateway that became slow
 * would always look overloaded. All times are of the monotonic clock, in milliseconds.
 */
export class ConcurrencyLimit {
  readonly #timeoutMs: number
  #max = Infinity
  /** None, if an attempt can end unnoticed: its slot would never be free. */
  #limit = WORK_ENDS_WITH_REQUEST ? Infinity : INITIAL_LIMIT
  #phase: Phase = { kind: 'holding', until: 0 }
  #stepsUp = true
  #factor = FIRST_FACTOR
  #changedAt = -Infinity
  /** How long the next step waits if this one does not pay off. */
  #holdMs = FIRST_HOLD_MS
  #samples = 0
  #sampledMs = 0
  /** The share of recent attempts for which the gateway had no capacity. */
  #load = 0
  #latencyMs = 50
  #succeededAt = -Infinity

  /** `timeoutMs` is the timeout of one attempt. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  get value(): number {
    return Math.floor(this.#limit)
  }

  /** Limits the value to `max`, if there is a limit. */
  cap(max: number): void {
    if (WORK_ENDS_WITH_REQUEST) return
    this.#max = max
    this.#limit = Math.min(this.#limit, max)
  }

  record(attempt: EndedAttempt): void {
    const { result, sentAt, endedAt, hasQueue } = attempt
    const durationMs = endedAt - sentAt
    if (result === 'success') {
      this.#latencyMs += LATENCY_WEIGHT * (durationMs - this.#latencyMs)
      this.#succeededAt = endedAt
    }
    const isSentSinceChange = sentAt >= this.#changedAt
    const isLoad = result === 'rate-limited' || (result === 'timeout' && this.#isTimeoutLoad(endedAt))
    if (isSentSinceChange) this.#load += LOAD_WEIGHT * ((isLoad ? 1 : 0) - this.#load)
    if (this.#load > 0.5) {
      this.#hold(this.#limit * OVERLOAD_FACTOR, endedAt, HOLD_MS)
    } else if (result === 'timeout' && !isLoad && hasQueue && endedAt - this.#changedAt > this.#latencyMs) {
      // The mints of some users hang, so the other users need more slots.
      this.#change(this.#limit * LATER_FACTOR, endedAt)
    } else if (result === 'success' && hasQueue) {
      this.#sample(durationMs, endedAt)
    }
  }

  /** Whether a timeout counts as load: only if nothing else succeeds, or if successes are slow too. */
  #isTimeoutLoad(now: number): boolean {
    return now - this.#succeededAt > this.#timeoutMs || this.#latencyMs > this.#timeoutMs / 4
  }

  /**
   * Samples a success once most requests sent before the last change have ended.
   *
   * It does not start with the requests sent since the change, because the quickest of them end first.
   */
  #sample(durationMs: number, now: number): void {
    const isDoubling = this.#factor === FIRST_FACTOR
    if (now - this.#changedAt < (isDoubling ? 1 : 2) * this.#latencyMs) return
    this.#sampledMs += durationMs
    const enough = Math.max(MIN_SAMPLES, (isDoubling ? 0.5 : 2) * this.#limit)
    if (++this.#samples < enough) return
    const throughput = (this.#limit * this.#samples) / this.#sampledMs
    this.#measured({ limit: this.#limit, throughput }, now)
  }

  #measured(measured: Measurement, now: number): void {
    this.#samples = this.#sampledMs = 0
    const phase = this.#phase
    if (phase.kind === 'holding') {
      if (now >= phase.until) this.#step(measured, now)
      return
    }
    const { before } = phase
    const hasGrown = measured.limit > before.limit
    const enough = hasGrown ? 1 + GAIN_FRACTION * (measured.limit / before.limit - 1) : 1 - LOSS_FRACTION
    if (measured.throughput < before.throughput * enough) {
      // If a doubling does not pay off, a smaller step up comes before a step down.
      this.#stepsUp = !hasGrown || this.#factor === FIRST_FACTOR
      this.#factor = LATER_FACTOR
      this.#hold(before.limit, now, this.#holdMs)
      this.#holdMs = Math.min(HOLD_MS, 2 * this.#holdMs)
    } else if (!hasGrown) {
      this.#hold(this.#limit, now, HOLD_AFTER_SHRINKING_MS)
    } else {
      // If the gateway became slow, a step that paid off once may pay off several times.
      this.#factor = FIRST_FACTOR
      this.#step(measured, now)
    }
  }

  #step(before: Measurement, now: number): void {
    if (this.#limit <= MIN_LIMIT) this.#stepsUp = true
    if (this.#limit >= this.#max) {
      this.#phase = { kind: 'holding', until: now }
      return
    }
    this.#phase = { kind: 'judging', before }
    this.#change(this.#stepsUp ? this.#limit * this.#factor : this.#limit / LATER_FACTOR, now)
  }

  #hold(limit: number, now: number, holdMs: number): void {
    this.#phase = { kind: 'holding', until: now + holdMs }
    this.#change(limit, now)
  }

  #change(limit: number, now: number): void {
    this.#limit = Math.min(this.#max, Math.max(MIN_LIMIT, limit))
    this.#changedAt = now
    this.#samples = this.#sampledMs = this.#load = 0
  }
}
