import { onAbort } from '../core/on-abort.js'
import type { ProcessHold } from '../core/process-hold.js'
import { VKitError } from '../core/vkit-error.js'
import { isForeignPage } from '../gateway/response-errors.js'
import type { SessionTokenResult } from '../options/types.js'
import type { SessionToken } from '../token/session-token.js'
import { IdentitySource } from './identity-source.js'
import { OutagePolicy, type OutagePolicyOptions } from './outage-policy.js'

export interface TokenBatchOptions extends OutagePolicyOptions {
  readonly concurrency: number
  /** Rejects with a `VKitError`, also where the identity is not one. */
  readonly getToken: (identity: string, signal: AbortSignal) => Promise<SessionToken>
  /** Any of them ends the run with its reason. */
  readonly signals: readonly AbortSignal[]
  readonly hold: ProcessHold
}

/** The shortest-lived token worth caching has a tenth of its life left when a call gets it, and lives about a second. */
const MAX_WAIT_MS = 100
/** These failures affect every identity. */
const ENDS_RUN = new Set<string>(['VKIT_CONFIG', 'VKIT_CLOSED'])

/** An identity that has no result yet. */
interface Work {
  readonly identity: string
  attempts: number
  /** Until when, by the monotonic clock, another attempt would be refused. */
  notBefore: number
  /** Since when it has failed. */
  failedSince: number | undefined
  /** How many others had succeeded by the time it first failed. */
  successesBefore: number
  /** What it failed with last. */
  error?: VKitError
}

/** A result, and since when, by the monotonic clock, it waits for the consumer. */
interface Ready {
  readonly result: SessionTokenResult
  readonly since: number
}

/**
 * Gets a token for each of many identities, a bounded number at a time.
 *
 * The source is pulled only when there is room: the identities in flight, waiting for a retry and waiting to be consumed are
 * never more than a small multiple of `concurrency`, however long the source is and however slow the consumer.
 */
export class TokenBatch {
  readonly #options: TokenBatchOptions
  readonly #outage: OutagePolicy
  readonly #ready: Ready[] = []
  /** New ones that found no room, before those to be retried. */
  readonly #queue: Work[] = []
  readonly #cancel = new AbortController()
  #inFlight = 0
  #source!: IdentitySource
  #fatal: { readonly reason: unknown } | undefined
  /** When it will look again for what can be started. */
  #wakesAt = Infinity
  #wake: () => void = () => undefined

  constructor(options: TokenBatchOptions) {
    this.#options = options
    this.#outage = new OutagePolicy(options)
  }

  async *run(
    identities: Iterable<string> | AsyncIterable<string>,
  ): AsyncGenerator<SessionTokenResult, void, undefined> {
    const { signals, hold } = this.#options
    for (const signal of signals) if (signal.aborted) throw signal.reason
    const leave = signals.map(signal => onAbort(signal, () => this.#end(signal.reason)))
    this.#source = new IdentitySource(identities, {
      onIdentity: identity => this.#queue.unshift(newWork(identity)),
      onChange: () => this.#wake(),
    })
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
    const failure = this.#fatal ?? this.#source.failure
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
    return this.#source.isExhausted && this.#inFlight === 0 && this.#queue.length === 0
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
      const pauseMs = this.#outage.pauseMs()
      if (pauseMs > 0) return this.#sleep(pauseMs)
      // Those that failed come last, so that one bad identity does not pass for an outage.
      if (!this.#isQueueFull) this.#source.pull()
      const work = this.#takeReady()
      if (work) this.#start(work)
      else if (this.#source.isPulling || this.#source.isExhausted || this.#isQueueFull) return this.#sleepUntilReady()
    }
  }

  get #isQueueFull(): boolean {
    return this.#queue.length > this.#options.concurrency
  }

  #takeReady(): Work | undefined {
    const now = this.#options.clock.monotonic()
    const index = this.#queue.findIndex(({ notBefore }) => notBefore <= now)
    return index < 0 ? undefined : this.#queue.splice(index, 1)[0]
  }

  #sleepUntilReady(): void {
    const readyAt = Math.min(...this.#queue.map(({ notBefore }) => notBefore))
    if (readyAt < Infinity) this.#sleep(readyAt - this.#options.clock.monotonic())
  }

  #hasRoom(): boolean {
    const most = this.#outage.isProbing ? 1 : this.#options.concurrency
    return this.#inFlight + this.#ready.length < most
  }

  #sleep(ms: number): void {
    const { clock } = this.#options
    const wakesAt = clock.monotonic() + ms
    if (this.#wakesAt <= wakesAt) return
    this.#wakesAt = wakesAt
    void clock.sleep(ms, this.#cancel.signal).then(() => {
      if (this.#wakesAt === wakesAt) this.#wakesAt = Infinity
      this.#wake()
    })
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
    this.#outage.recordSuccess()
    this.#makeReady({ identity, token })
  }

  #fail(work: Work, error: unknown): void {
    if (this.#cancel.signal.aborted) return
    if (!(error instanceof VKitError) || ENDS_RUN.has(error.code)) return this.#end(error)
    const { identity } = work
    // A page of a proxy or a firewall is not an outage, and may be for this identity only.
    const isFinal = !error.retryable || isForeignPage(error)
    if (isFinal || this.#options.onOutage === 'fail') return this.#makeReady({ identity, error })

    this.#outage.recordFailure(error)
    if (work.error === undefined) work.successesBefore = this.#outage.successes
    work.error = error
    const now = this.#options.clock.monotonic()
    work.failedSince ??= now
    // An open circuit says nothing of this identity; that its last mint failed does.
    if (error.attempts > 0 || error.refusedBy === 'key') {
      // A rate limit says nothing of the identity that meets it.
      if (error.code !== 'VKIT_RATE_LIMITED') work.attempts++
      work.notBefore = now + (error.retryAfterMs ?? 0)
    }
    this.#queue.push(work)
    this.#rejectExhausted()
  }

  /** Yields the errors of those that are not retried: the failure is their own, or the outage longer than agreed. */
  #rejectExhausted(): void {
    const { canWait } = this.#outage
    for (const work of this.#queue.splice(0)) {
      const { identity, error } = work
      const isExhausted = !canWait || this.#outage.isOwnFault(work) || this.#outage.isTooLong(work)
      if (error && isExhausted) this.#makeReady({ identity, error })
      else this.#queue.push(work)
    }
  }

  async #closeSource(): Promise<void> {
    try {
      await this.#source.close()
    } catch (error) {
      // What ended the run says more than what went wrong afterwards.
      if (!this.#fatal) throw error
    }
  }
}

function newWork(identity: string): Work {
  return { identity, attempts: 0, notBefore: 0, failedSince: undefined, successesBefore: 0 }
}
