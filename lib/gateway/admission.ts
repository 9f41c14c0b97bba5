import type { Random } from '../core/backoff.js'
import type { Clock } from '../core/clock.js'
import { VKitServerError } from '../core/errors.js'
import type { Events } from '../core/events.js'
import type { VKitError } from '../core/vkit-error.js'
import type { AttemptOutcome } from './attempt-outcome.js'
import { CircuitBreaker, type CircuitState } from './circuit-breaker.js'
import { ConcurrencyLimit, type EndedAttempt } from './concurrency-limit.js'
import { FailureMemory } from './failure-memory.js'
import { FailureStreak } from './failure-streak.js'
import { MintQueue, type AdmittedAttempt, type AttemptRequest } from './mint-queue.js'
import { RecentLatency } from './recent-latency.js'

/** Each holds an error, about 1 KiB. */
const MAX_FAILING_KEYS = 1_000
/** An attempt that its caller ended counts only if it had been in flight for this time, and this many medians. */
const MIN_CUT_OFF_MS = 1_000
const MIN_CUT_OFF_MEDIANS = 4

export interface AdmissionOptions {
  /** Of one attempt. */
  readonly timeoutMs: number
  /** How many attempts may be in flight at most. */
  readonly maxConnections: () => number
  readonly clock: Clock
  readonly events: Events
  readonly random: Random
}

/** How admission stands. */
export interface AdmissionStats {
  readonly circuit: CircuitState
  readonly concurrencyLimit: number
  readonly queued: number
  readonly failingKeys: number
}

/** Decides which attempts are sent, and when, and which mints fail without one. It does no I/O. */
export class Admission {
  readonly #options: AdmissionOptions
  readonly #circuit: CircuitBreaker
  readonly #limit: ConcurrencyLimit
  readonly #queue = new MintQueue()
  readonly #latency = new RecentLatency()
  readonly #failures: FailureMemory
  /** Of attempts that got no token, for whatever reason. */
  readonly #troubleStreak = new FailureStreak()
  #isTroubleForAll = false
  #succeededAt = -Infinity
  readonly #onCircuitOpen = new Set<() => void>()
  #inFlight = 0

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

  /** While the circuit is open nothing is retried. */
  get mayRetry(): boolean {
    return !this.#circuit.isOpen
  }

  /** Calls `callback` when the circuit opens, until the returned function is called. */
  onCircuitOpen(callback: () => void): () => void {
    this.#onCircuitOpen.add(callback)
    return () => this.#onCircuitOpen.delete(callback)
  }

  /** How long a successful attempt took lately; undefined until there was one. */
  get medianMs(): number | undefined {
    return this.#latency.medianMs
  }

  /** @throws VKitError where a mint of this key would be refused now. */
  check(key: string): void {
    // In an outage a key's own backoff says nothing about the key, which may be the one to probe with.
    const refusal = this.#failures.refusalOf(key, this.#circuit.isOpen) ?? this.#circuit.refusalOf(key)
    if (refusal) throw refusal
  }

  /** Resolves when it is the attempt's turn; then `end` must be called. Rejects with its refusal, or with `deadline.reason`. */
  async admit(request: AttemptRequest): Promise<AdmittedAttempt> {
    request.deadline.throwIfAborted()
    this.#limit.cap(this.#options.maxConnections())
    const refusal = this.#circuit.refusalOf(request.key)
    if (refusal) throw refusal
    // While the circuit is open no call waits: the few probes need no place.
    const mustWait = !this.#circuit.isOpen && (this.#inFlight >= this.#limit.value || this.#queue.size > 0)
    return mustWait ? await this.#queue.wait(request) : this.#begin(request)
  }

  /** Takes note of what an attempt says of the gateway, and gives its place to the next. */
  end(attempt: AdmittedAttempt, outcome: AttemptOutcome): void {
    this.#inFlight--
    this.#recordOutcome(attempt, outcome)
    this.#limit.record(this.#toEnded(attempt, outcome))
    this.#admitWaiting()
  }

  /** A mint of this key has failed for good: until its backoff is over more of them are refused. */
  recordFailedMint(key: string, error: VKitError): void {
    const retryAfterMs = Math.ceil(this.#failures.record(key, error, this.#succeededAt))
    this.#options.events.emit({ type: 'key-backoff', code: error.code, retryAfterMs })
  }

  /** Another secret is in use: what was refused with the old one may be tried again. */
  forgetUnauthenticated(): void {
    this.#failures.forgetUnauthenticated()
  }

  #begin({ key }: AttemptRequest): AdmittedAttempt {
    this.#inFlight++
    return { key, sentAt: this.#options.clock.monotonic(), isProbe: this.#circuit.admit(key) }
  }

  #admitWaiting(): void {
    while (this.#inFlight < this.#limit.value) {
      const waiting = this.#queue.peek()
      if (!waiting) return
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

  #recordOutcome(attempt: AdmittedAttempt, { kind }: AttemptOutcome): void {
    const { key, sentAt, isProbe } = attempt
    switch (kind) {
      case 'success':
        this.#latency.record(this.#options.clock.monotonic() - sentAt)
        this.#failures.forget(key)
        return this.#recordResponse()
      case 'refusal':
        return this.#recordResponse()
      case 'failure':
        return this.#recordFailure(attempt)
      case 'rate-limited':
      case 'unknown':
        // It says nothing of the gateway, but neither does it of the user where it happens to all.
        return this.#recordTrouble(attempt)
      case 'cut-off':
        if (this.#isLongCutOff(sentAt)) return this.#recordFailure(attempt)
        if (isProbe) this.#circuit.releaseProbe(key)
        return
      case 'not-sent':
        if (isProbe) this.#circuit.releaseProbe(key)
    }
  }

  #recordResponse(): void {
    this.#succeededAt = this.#options.clock.monotonic()
    this.#circuit.recordSuccess()
    this.#troubleStreak.recordSuccess(this.#succeededAt)
    // What failed while everyone did says nothing about the users.
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

  #isLongCutOff(sentAt: number): boolean {
    const inFlightMs = this.#options.clock.monotonic() - sentAt
    return inFlightMs >= Math.max(MIN_CUT_OFF_MS, MIN_CUT_OFF_MEDIANS * (this.medianMs ?? 0))
  }

  #toEnded({ sentAt }: AdmittedAttempt, outcome: AttemptOutcome): EndedAttempt {
    const { kind } = outcome
    const isTimeout = kind === 'failure' && outcome.isTimeout
    const result = isTimeout ? 'timeout' : kind === 'success' || kind === 'rate-limited' ? kind : 'other'
    return { result, sentAt, endedAt: this.#options.clock.monotonic(), hasQueue: this.#queue.size > 0 }
  }
}
