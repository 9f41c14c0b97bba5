import type { Clock } from '../core/clock.js'
import { onAbort } from '../core/on-abort.js'
import type { ProcessHold } from '../core/process-hold.js'
import { VKitError } from '../core/vkit-error.js'
import { isForeignPage } from '../gateway/response-errors.js'
import type { OutageMode, SessionTokenResult } from '../options/types.js'
import type { SessionToken } from '../token/session-token.js'

export interface TokenBatchOptions {
  readonly concurrency: number
  readonly onOutage: OutageMode
  readonly maxOutageMs: number
  /** Rejects with a `VKitError`, also where the identity is none. */
  readonly getToken: (identity: string, signal: AbortSignal) => Promise<SessionToken>
  /** Until when, by the monotonic clock, the gateway asked to be left alone with `Retry-After`. */
  readonly quietUntil: () => number
  /** The longest wait for `quietUntil` where outages are not waited for. */
  readonly deadlineMs: number
  /** Any of them ends the run with its reason. */
  readonly signals: readonly AbortSignal[]
  readonly clock: Clock
  readonly hold: ProcessHold
}

/** Tries of one identity after which, if others succeed, the fault is held to be its own. */
const MAX_TRIES = 5
/** A tenth of the life of the shortest-lived token that is cached to any use: so much it has left when it is got. */
const MAX_WAIT_MS = 100
/** With these no other identity would fare better. */
const ENDS_RUN = new Set<string>(['VKIT_CONFIG', 'VKIT_CLOSED'])

/** One identity on its way; `error` is what it failed with last. */
interface Work {
  readonly identity: string
  tries: number
  /** How many others had succeeded by the time it first failed. */
  successesBefore: number
  error?: VKitError
}

/** A result, and since when, by the monotonic clock, it waits for the consumer. */
interface Ready {
  readonly result: SessionTokenResult
  readonly since: number
}

type Source = Iterator<string> | AsyncIterator<string>

/**
 * Gets a token for each of many identities, a bounded number at a time.
 *
 * The source is pulled only when there is room: under way, waiting to be tried again and waiting to be consumed are
 * never more than a small multiple of `concurrency`, however long the source is and however slow the consumer.
 */
export class TokenBatch {
  readonly #options: TokenBatchOptions
  readonly #ready: Ready[] = []
  /** Fresh ones that found no room, before those to be tried again. */
  readonly #queue: Work[] = []
  readonly #cancel = new AbortController()
  #inFlight = 0
  #source: Source | undefined
  #isPulling = false
  #isExhausted = false
  #sourceError: { readonly reason: unknown } | undefined
  #fatal: { readonly reason: unknown } | undefined
  #isSleeping = false
  /** Since when, without a success, mints have failed for reasons that may pass. */
  #failingSince: number | undefined
  #successes = 0
  /** Until when the circuit lets no probe through. */
  #resumeAt = -Infinity
  #wake: () => void = () => undefined

  constructor(options: TokenBatchOptions) {
    this.#options = options
  }

  async *run(
    identities: Iterable<string> | AsyncIterable<string>,
  ): AsyncGenerator<SessionTokenResult, void, undefined> {
    const { signals, hold } = this.#options
    for (const signal of signals) if (signal.aborted) throw signal.reason
    const leave = signals.map(signal => onAbort(signal, () => this.#end(signal.reason)))
    this.#source = iteratorOf(identities)
    try {
      for (;;) {
        this.#fill()
        if (this.#fatal) break
        const ready = this.#ready.shift()
        if (ready && this.#isStale(ready)) this.#queue.unshift(newWork(ready.result.identity))
        else if (ready) yield ready.result
        else if (this.#isDone()) break
        else await hold.during(this.#nextChange())
      }
    } finally {
      for (const stop of leave) stop()
      this.#cancel.abort()
      await this.#closeSource()
    }
    const failure = this.#fatal ?? this.#sourceError
    if (failure) throw failure.reason
  }

  /** Whether the consumer was so slow that the token may have expired: the cache knows, or mints another. */
  #isStale({ result, since }: Ready): boolean {
    return result.token !== undefined && this.#options.clock.monotonic() - since > MAX_WAIT_MS
  }

  #makeReady(result: SessionTokenResult): void {
    this.#ready.push({ result, since: this.#options.clock.monotonic() })
  }

  #isDone(): boolean {
    return this.#isExhausted && this.#inFlight === 0 && this.#queue.length === 0
  }

  #nextChange(): Promise<void> {
    return new Promise(resolve => (this.#wake = resolve))
  }

  #end(reason: unknown): void {
    this.#fatal ??= { reason }
    this.#wake()
  }

  #fill(): void {
    while (!this.#fatal && this.#hasRoom()) {
      const pauseMs = this.#pauseMs()
      if (pauseMs > 0) return this.#sleep(pauseMs)
      // Those that failed come last, so that one bad identity does not pass for an outage.
      if (!this.#isPulling && !this.#isExhausted && this.#queue.length <= this.#options.concurrency) this.#pull()
      const work = this.#queue.shift()
      if (work) this.#start(work)
      else if (this.#isPulling || this.#isExhausted) return
    }
  }

  /** While nothing succeeds, one at a time finds out whether something does again. */
  #hasRoom(): boolean {
    const isProbing = this.#failingSince !== undefined && this.#isPatient()
    return this.#inFlight + this.#ready.length < (isProbing ? 1 : this.#options.concurrency)
  }

  /** Whether an outage is to be waited for, and has not lasted longer than agreed. */
  #isPatient(): boolean {
    const { clock, onOutage, maxOutageMs } = this.#options
    if (onOutage === 'fail') return false
    const now = clock.monotonic()
    return Math.max(now, this.#resumeAt) - (this.#failingSince ?? now) <= maxOutageMs
  }

  #pauseMs(): number {
    const { clock, quietUntil, maxOutageMs, deadlineMs } = this.#options
    const isPatient = this.#isPatient()
    const pauseMs = Math.max(quietUntil(), isPatient ? this.#resumeAt : -Infinity) - clock.monotonic()
    // What is not worth waiting for is tried: it fails by the open circuit, without a request.
    return pauseMs > (isPatient ? maxOutageMs : deadlineMs) ? 0 : pauseMs
  }

  #sleep(ms: number): void {
    if (this.#isSleeping) return
    this.#isSleeping = true
    void this.#options.clock.sleep(ms, this.#cancel.signal).then(() => {
      this.#isSleeping = false
      this.#wake()
    })
  }

  #pull(): void {
    const failed = (reason: unknown): void => {
      this.#isExhausted = true
      this.#sourceError = { reason }
    }
    const received = ({ done, value }: IteratorResult<string, unknown>): void => {
      if (done) this.#isExhausted = true
      else this.#queue.unshift(newWork(value))
    }
    try {
      const step = this.#source?.next()
      if (step === undefined) return
      if (!isPromise(step)) return received(step)
      this.#isPulling = true
      void Promise.resolve(step)
        .then(received)
        .catch(failed)
        .finally(() => {
          this.#isPulling = false
          this.#wake()
        })
    } catch (error) {
      failed(error)
    }
  }

  #start(work: Work): void {
    this.#inFlight++
    void this.#options
      .getToken(work.identity, this.#cancel.signal)
      .then(
        token => this.#succeed(work, token),
        (error: unknown) => this.#fail(work, error),
      )
      .finally(() => {
        this.#inFlight--
        this.#wake()
      })
  }

  #succeed({ identity }: Work, token: SessionToken): void {
    this.#successes++
    this.#failingSince = undefined
    this.#resumeAt = -Infinity
    this.#makeReady({ identity, token })
  }

  #fail(work: Work, error: unknown): void {
    if (this.#cancel.signal.aborted) return
    if (!(error instanceof VKitError) || ENDS_RUN.has(error.code)) return this.#end(error)
    const { identity } = work
    // A page of a proxy or a firewall is no outage, and may be for this identity only.
    const isFinal = !error.retryable || isForeignPage(error)
    if (isFinal || this.#options.onOutage === 'fail') return this.#makeReady({ identity, error })

    const now = this.#options.clock.monotonic()
    this.#failingSince ??= now
    this.#resumeAt = Math.max(this.#resumeAt, now + (error.retryAfterMs ?? 0))
    if (work.error === undefined) work.successesBefore = this.#successes
    work.error = error
    // An open circuit has sent nothing: that says nothing of this identity.
    if (error.attempts > 0) work.tries++
    this.#queue.push(work)
    this.#giveUp()
  }

  /** Yields the errors of those not to be tried again: the fault is their own, or the outage longer than agreed. */
  #giveUp(): void {
    const isPatient = this.#isPatient()
    for (const work of this.#queue.splice(0)) {
      const { identity, error, tries, successesBefore } = work
      const isOwnFault = tries >= MAX_TRIES && this.#successes > successesBefore
      if (error && (isOwnFault || !isPatient)) this.#makeReady({ identity, error })
      else this.#queue.push(work)
    }
  }

  /** Tells the source that no more is wanted of it, as `for … of` does. */
  async #closeSource(): Promise<void> {
    if (this.#isExhausted) return
    try {
      const closing = this.#source?.return?.()
      // A source in the middle of a pull that may never end cannot close before it does.
      if (this.#isPulling) Promise.resolve(closing).catch(() => undefined)
      else await closing
    } catch (error) {
      // What ended the run says more than what went wrong afterwards.
      if (!this.#fatal) throw error
    }
  }
}

function newWork(identity: string): Work {
  return { identity, tries: 0, successesBefore: 0 }
}

function iteratorOf(identities: Iterable<string> | AsyncIterable<string>): Source {
  return Symbol.asyncIterator in identities ? identities[Symbol.asyncIterator]() : identities[Symbol.iterator]()
}

function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && 'then' in value
}
