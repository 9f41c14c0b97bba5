import type { Random } from '../core/backoff.js'
import type { Clock } from '../core/clock.js'
import { VKitServerError } from '../core/errors.js'
import type { Events } from '../core/events.js'
import { WORK_ENDS_WITH_REQUEST } from '../core/request-context.js'
import type { VKitError } from '../core/vkit-error.js'
import type { AttemptOutcome } from './attempt-outcome.js'
import { CircuitBreaker, type CircuitState } from './circuit-breaker.js'
import { ConcurrencyLimit, type EndedAttempt } from './concurrency-limit.js'
import { FailureMemory } from './failure-memory.js'
import { FailureStreak } from './failure-streak.js'
import { MintQueue, type AdmittedAttempt, type AttemptRequest } from './mint-queue.js'
import { RecentLatency } from './recent-latency.js'

/** Each entry stores an error of about 1 KiB. */
const MAX_FAILING_KEYS = 1_000
/** An attempt that its caller ends counts as a failure only after this time, and after this many median durations. */
const MIN_CUT_OFF_MS = 1_000
const MIN_CUT_OFF_MEDIANS = 4
/** This share of the connections is not for batches, so that a caller never waits for one of their mints. */
const RESERVED_SHARE = 0.1
/** After this time without a mint for a caller, batches need not leave time for callers. */
const NO_CALLERS_MS = 10_000

export interface AdmissionOptions {
  /** The timeout of one attempt. */
  readonly timeoutMs: number
  /** The largest number of attempts in flight. */
  readonly maxConnections: () => number
  readonly clock: Clock
  readonly events: Events
  readonly random: Random
}

/** The current state of admission. */
export interface AdmissionStats {
  readonly circuit: CircuitState
  readonly concurrencyLimit: number
  readonly queued: number
  readonly failingKeys: number
}

/** Decides which attempts are sent and when, and which mints fail without an attempt. It does no I/O. */
export class Admission {
  readonly #options: AdmissionOptions
  readonly #circuit: CircuitBreaker
  readonly #limit: ConcurrencyLimit
  readonly #queue = new MintQueue(() => this.#admitWaiting())
  readonly #latency = new RecentLatency()
  readonly #failures: FailureMemory
  /** Counts attempts that received neither a token nor a refusal, for any reason. */
  readonly #troubleStreak = new FailureStreak()
  #isTroubleForAll = false
  #succeededAt = -Infinity
  readonly #onCircuitOpen = new Set<() => void>()
  #inFlight = 0
  #bulkInFlight = 0
  /** When an attempt that is not one of a batch was last sent. */
  #calledAt = -Infinity
  #responses = 0

  constructor(options: AdmissionOptions) {
    this.#options = options
    this.#circuit = new CircuitBreaker(options)
    this.#limit = new ConcurrencyLimit(options.timeoutMs)
    this.#failures = new FailureMemory({ ...options, refusedBy: 'key', maxEntries: MAX_FAILING_KEYS })
  }

  get stats(): AdmissionStats {
    return {
      circuit: this.#circuit.state,
      concurrencyLimit: this.#limit.value,
      queued: this.#queue.size,
      failingKeys: this.#failures.size,
    }
  }

  /** Whether a failed attempt may be retried: not while the circuit is open. */
  get mayRetry(): boolean {
    return !this.#circuit.isOpen
  }

  /** Calls `callback` when the circuit opens, until the returned function is called. Not at the edge. */
  onCircuitOpen(callback: () => void): () => void {
    // A request that ended would never remove it, and another request must not go on with the work of this one.
    if (WORK_ENDS_WITH_REQUEST) return () => undefined
    this.#onCircuitOpen.add(callback)
    return () => this.#onCircuitOpen.delete(callback)
  }

  get concurrencyLimit(): number {
    return this.#limit.value
  }

  /** Whether there are mints in addition to those of batches. */
  get hasCallers(): boolean {
    return this.#options.clock.monotonic() - this.#calledAt < NO_CALLERS_MS
  }

  /** How often the gateway has minted or refused a token. */
  get responses(): number {
    return this.#responses
  }

  /** The median duration of recent successful attempts; undefined until the first one. */
  get medianMs(): number | undefined {
    return this.#latency.medianMs
  }

  /** @throws VKitError if a mint of this key would be refused now. */
  check(key: string): void {
    // During an outage, a key's own backoff says nothing about the key, so a probe may use it.
    const refusal = this.#failures.refusalOf(key, this.#circuit.isOpen) ?? this.#circuit.refusalOf(key)
    if (refusal) throw refusal
  }

  /**
   * Returns the attempt when it may be sent, without a promise if it need not wait; then call `end`.
   *
   * @throws its refusal, or `deadline.reason`; it rejects with them if it waits.
   */
  admit(request: AttemptRequest): AdmittedAttempt | Promise<AdmittedAttempt> {
    request.deadline.throwIfAborted()
    this.#limit.cap(this.#options.maxConnections())
    const refusal = this.#circuit.refusalOf(request.key)
    if (refusal) throw refusal
    // There may be more connections than before, and those who wait come first.
    this.#admitWaiting()
    // While the circuit is open, no attempt waits, because the few probes need no slot.
    return this.#circuit.isOpen || this.#hasRoom(request) ? this.#begin(request) : this.#queue.wait(request)
  }

  /** Returns the attempt as if it had just been admitted: what it waited for meanwhile says nothing about the gateway. */
  restart(attempt: AdmittedAttempt): AdmittedAttempt {
    return { ...attempt, sentAt: this.#options.clock.monotonic() }
  }

  /** Records what the outcome of an attempt shows about the gateway, and frees its slot for the next attempt. */
  end(attempt: AdmittedAttempt, outcome: AttemptOutcome): void {
    this.#inFlight--
    if (attempt.isBulk) this.#bulkInFlight--
    this.#recordOutcome(attempt, outcome)
    // What was not sent must not dilute the share of attempts for which the gateway had no capacity.
    if (outcome.kind !== 'not-sent') this.#limit.record(this.#toEnded(attempt, outcome))
    this.#admitWaiting()
  }

  /** Records the final failure of a mint: further mints of this key are refused until its backoff ends. */
  recordFailedMint(key: string, error: VKitError): void {
    const retryAfterMs = Math.ceil(this.#failures.record(key, error, this.#succeededAt))
    this.#options.events.emit({ type: 'key-backoff', code: error.code, retryAfterMs })
  }

  /** Forgets the refusals of an old secret: a different secret is in use, so these mints may be sent again. */
  forgetUnauthenticated(): void {
    this.#failures.forgetUnauthenticated()
  }

  /** Whether there is a slot. The attempts of batches take none from a caller, as long as there are connections. */
  #hasRoom({ priority }: AttemptRequest): boolean {
    const limit = this.#limit.value
    if (limit === Infinity) return true
    const connections = this.#options.maxConnections()
    if (priority.level !== 'bulk') return this.#inFlight < connections && this.#inFlight - this.#bulkInFlight < limit
    const unreserved = Math.max(1, connections - Math.ceil(connections * RESERVED_SHARE))
    return this.#inFlight < Math.min(limit, unreserved)
  }

  #begin({ key, priority }: AttemptRequest): AdmittedAttempt {
    const isBulk = priority.level === 'bulk'
    this.#inFlight++
    const sentAt = this.#options.clock.monotonic()
    if (isBulk) this.#bulkInFlight++
    else this.#calledAt = sentAt
    return { key, isBulk, sentAt, isProbe: this.#circuit.admit(key) }
  }

  #admitWaiting(): void {
    for (;;) {
      const waiting = this.#queue.peek()
      if (!waiting || !this.#hasRoom(waiting.request)) return
      const refusal = this.#overloadRefusal(waiting.request)
      if (refusal) waiting.refuse(refusal)
      else waiting.admit(this.#begin(waiting.request))
    }
  }

  #overloadRefusal({ deadline }: AttemptRequest): VKitError | undefined {
    const { medianMs = 0 } = this
    if (deadline.remainingMs() >= medianMs) return undefined
    const [queued, concurrencyLimit] = [this.#queue.size, this.#limit.value]
    const retryAfterMs = Math.ceil(medianMs * Math.ceil(queued / concurrencyLimit))
    this.#options.events.emit({ type: 'overload', retryAfterMs, queued, concurrencyLimit })
    return new VKitServerError('Too many mints were waiting for the gateway. Try again after retryAfterMs.', {
      retryAfterMs,
      refusedBy: 'overload',
    })
  }

  #recordOutcome(attempt: AdmittedAttempt, outcome: AttemptOutcome): void {
    const { key, sentAt, isProbe } = attempt
    switch (outcome.kind) {
      case 'success':
        this.#latency.record(this.#options.clock.monotonic() - sentAt)
        this.#failures.forget(key)
        return this.#recordResponse()
      case 'refusal':
        return this.#recordResponse()
      case 'failure':
      case 'timeout':
        return this.#recordFailure(attempt)
      case 'rate-limited':
      case 'unknown':
        // It says nothing about the gateway, and if it affects all users, it says nothing about one of them either.
        return this.#recordTrouble(attempt)
      case 'cut-off':
        if (this.#isLongCutOff(sentAt, outcome.timeoutMs)) return this.#recordFailure(attempt)
        if (isProbe) this.#circuit.releaseProbe(key)
        return
      case 'not-sent':
        if (isProbe) this.#circuit.releaseProbe(key)
    }
  }

  #recordResponse(): void {
    this.#responses++
    this.#succeededAt = this.#options.clock.monotonic()
    this.#circuit.recordSuccess()
    this.#troubleStreak.recordSuccess(this.#succeededAt)
    // A failure that affected every user says nothing about one of them.
    if (this.#isTroubleForAll) this.#failures.forgetBackoffs()
    this.#isTroubleForAll = false
  }

  #recordTrouble(attempt: AdmittedAttempt): void {
    this.#isTroubleForAll ||= this.#troubleStreak.recordFailure(attempt, this.#options.clock.monotonic())
  }

  #recordFailure(attempt: AdmittedAttempt): void {
    this.#recordTrouble(attempt)
    if (!this.#circuit.recordFailure(attempt)) return
    this.#queue.refuseAll(() => this.#circuit.refusal())
    for (const callback of this.#onCircuitOpen) callback()
  }

  #isLongCutOff(sentAt: number, timeoutMs = Infinity): boolean {
    // If this process was busy, a short timeout fires late, and the gateway had no more time.
    const inFlightMs = Math.min(timeoutMs, this.#options.clock.monotonic() - sentAt)
    return inFlightMs >= Math.max(MIN_CUT_OFF_MS, MIN_CUT_OFF_MEDIANS * (this.medianMs ?? 0))
  }

  #toEnded({ sentAt }: AdmittedAttempt, { kind: result }: AttemptOutcome): EndedAttempt {
    return { result, sentAt, endedAt: this.#options.clock.monotonic(), hasQueue: this.#queue.size > 0 }
  }
}
