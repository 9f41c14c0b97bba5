const FIRST_LIMIT = 50
const LEAST_LIMIT = 10
/** A step up pays if throughput grew by this part of what the limit did; a step down if less than this part was lost. */
const PAYING_PART = 0.4
const LOSING_PART = 0.03
const FEWEST_SAMPLES = 10
const HOLD_MS = 5_000
const HOLD_AFTER_SHRINKING_MS = 1_000
const FIRST_FACTOR = 2
const LATER_FACTOR = 1.25
const OVERLOAD_FACTOR = 0.67
/** How much of an average the newest sample is. */
const LOAD_WEIGHT = 0.1
const LATENCY_WEIGHT = 0.2

/** How an attempt ended, as far as it says something of the gateway's load. */
export interface EndedAttempt {
  readonly result: 'success' | 'timeout' | 'rate-limited' | 'other'
  readonly sentAt: number
  readonly endedAt: number
  /** Whether others were waiting for their turn. */
  readonly hasQueue: boolean
}

interface Measurement {
  readonly limit: number
  /** Successes per millisecond, by Little's law: in flight / latency. */
  readonly throughput: number
}

type Phase =
  /** The limit stays as it is until `until`. */
  | { readonly kind: 'holding'; readonly until: number }
  /** The limit was changed; the successes of requests sent since then will tell whether that paid. */
  | { readonly kind: 'judging'; readonly before: Measurement }

/**
 * How many mints may be in flight: as many as bring throughput.
 *
 * A gateway that is merely slow serves twice as much at twice the limit; one that is full responds later instead. Each step is
 * compared with what was measured just before it, never with the best latency ever seen: a gateway that became slow would look
 * overloaded for good. All moments are of the monotonic clock, in milliseconds.
 */
export class ConcurrencyLimit {
  readonly #timeoutMs: number
  #most = Infinity
  #limit = FIRST_LIMIT
  #phase: Phase = { kind: 'holding', until: 0 }
  #direction: 'up' | 'down' = 'up'
  #factor = FIRST_FACTOR
  #changedAt = -Infinity
  #samples = 0
  #sampledMs = 0
  /** The share of the latest attempts that the gateway had no capacity for. */
  #load = 0
  #latencyMs = 50
  #succeededAt = -Infinity

  /** `timeoutMs`: of one attempt. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  get value(): number {
    return Math.floor(Math.min(this.#limit, this.#most))
  }

  /** No value will be above `most`. */
  cap(most: number): void {
    this.#most = most
    this.#limit = Math.min(this.#limit, most)
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
    if (isLoad && isSentSinceChange && this.#load > 0.5) {
      this.#hold(this.#limit * OVERLOAD_FACTOR, endedAt, HOLD_MS)
    } else if (result === 'timeout' && !isLoad && hasQueue && endedAt - this.#changedAt > this.#latencyMs) {
      // Some users hang, and the others need room beside them.
      this.#change(this.#limit * LATER_FACTOR, endedAt)
    } else if (result === 'success' && hasQueue) {
      this.#sample(durationMs, endedAt)
    }
  }

  /** Timeouts are load only where nothing else succeeds, or successes are slow too. */
  #isTimeoutLoad(now: number): boolean {
    return now - this.#succeededAt > this.#timeoutMs || this.#latencyMs > this.#timeoutMs / 4
  }

  /**
   * Begins where most of what was sent before the change has ended. Not with what was sent since: the first of those to end
   * are the quickest.
   */
  #sample(durationMs: number, now: number): void {
    const isDoubling = this.#factor === FIRST_FACTOR
    if (now - this.#changedAt < (isDoubling ? 1 : 2) * this.#latencyMs) return
    this.#sampledMs += durationMs
    const enough = Math.max(FEWEST_SAMPLES, (isDoubling ? 0.5 : 2) * this.#limit)
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
    const growth = measured.limit / before.limit - 1
    const enough = growth > 0 ? 1 + PAYING_PART * growth : 1 - LOSING_PART
    if (measured.throughput < before.throughput * enough) {
      // A doubling that did not pay is tried again smaller before a step down is.
      this.#direction = growth > 0 && this.#factor === LATER_FACTOR ? 'down' : 'up'
      this.#factor = LATER_FACTOR
      this.#hold(before.limit, now, HOLD_MS)
    } else if (growth < 0) {
      this.#hold(this.#limit, now, HOLD_AFTER_SHRINKING_MS)
    } else {
      // What pays once may pay several times: a gateway that became slow.
      this.#factor = FIRST_FACTOR
      this.#step(measured, now)
    }
  }

  #step(before: Measurement, now: number): void {
    if (this.#limit <= LEAST_LIMIT) this.#direction = 'up'
    if (this.#direction === 'up' && this.#limit >= this.#most) {
      this.#phase = { kind: 'holding', until: now }
      return
    }
    this.#phase = { kind: 'judging', before }
    this.#change(this.#direction === 'up' ? this.#limit * this.#factor : this.#limit / LATER_FACTOR, now)
  }

  #hold(limit: number, now: number, holdMs: number): void {
    this.#phase = { kind: 'holding', until: now + holdMs }
    this.#change(limit, now)
  }

  #change(limit: number, now: number): void {
    this.#limit = Math.min(this.#most, Math.max(LEAST_LIMIT, limit))
    this.#changedAt = now
    this.#samples = this.#sampledMs = this.#load = 0
  }
}
