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
  /** Rejects with a `VKitError`, also if the identity is invalid. */
  readonly getToken: (identity: string, signal: AbortSignal) => Promise<SessionToken>
  /** Each signal ends the run with its reason. */
  readonly signals: readonly AbortSignal[]
  /** If it aborts, the run yields the results of the identities in flight, and then rejects with its reason. */
  readonly draining: AbortSignal
  readonly hold: ProcessHold
}

/**
 * How long a token may wait for the consumer before it counts as stale.
 *
 * The shortest-lived token worth caching lives about a second. A call may get it with a tenth of its lifetime left.
 */
const MAX_WAIT_MS = 100
/** These failures affect every identity. */
const ENDS_RUN = new Set<string>(['VKIT_CONFIG', 'VKIT_CLOSED'])

/** An identity without a result. */
interface Work {
  readonly identity: string
  attempts: number
  /** The monotonic time until which another attempt would be refused. */
  notBefore: number
  /** When it first failed. */
  failedSince: number | undefined
  /** How many other identities had succeeded when it first failed. */
  successesBefore: number
  /** Its last error. */
  error?: VKitError
}

/** A result, and the monotonic time since which it waits for the consumer. */
interface Ready {
  readonly result: SessionTokenResult
  readonly since: number
}

/**
 * Gets a token for each of many identities, a bounded number at a time.
 *
 * The source is pulled only when there is room. The identities in flight, waiting for a retry and waiting for the
 * consumer are never more than a small multiple of `concurrency`. A long source or a slow consumer does not change
 * that.
 */
export class TokenBatch {
  readonly #options: TokenBatchOptions
  readonly #outage: OutagePolicy
  readonly #ready: Ready[] = []
  /** New identities without room come first, then those to retry. */
  readonly #queue: Work[] = []
  readonly #cancel = new AbortController()
  #inFlight = 0
  #source!: IdentitySource
  #fatal: { readonly reason: unknown } | undefined
  /** Whether a drain dropped identities that were read and not started. */
  #isCutShort = false
  /** Called when a drain has nothing to wait for in this run. */
  #onDrained: (() => void) | undefined
  #isDrained = false
  /** When the run next checks what it can start. */
  #wakesAt = Infinity
  #wake: () => void = () => undefined

  constructor(options: TokenBatchOptions) {
    this.#options = options
    this.#outage = new OutagePolicy(options)
  }

  async *run(
    identities: Iterable<string> | AsyncIterable<string>,
  ): AsyncGenerator<SessionTokenResult, void, undefined> {
    const { signals, draining, hold } = this.#options
    for (const signal of [...signals, draining]) if (signal.aborted) throw signal.reason
    const leave = signals.map(signal => onAbort(signal, () => this.#end(signal.reason)))
    leave.push(onAbort(draining, () => this.#drain()))
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
        else if (ready) {
          this.#checkDrained()
          yield ready.result
        } else if (this.#isDone()) break
        else await hold.during(this.#nextChange())
      }
    } finally {
      for (const stop of leave) stop()
      this.#onDrained?.()
      this.#cancel.abort()
      await this.#closeSource()
    }
    const isCutShort = this.#isCutShort || this.#source.isCutShort
    const failure = this.#fatal ?? this.#source.failure ?? (isCutShort ? draining : undefined)
    if (failure) throw failure.reason
  }

  /** Whether the consumer was so slow that the token may have expired. If so, another call returns a valid token. */
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
    // After its last result, a run need not end early.
    if (!this.#isDrained) this.#fatal ??= { reason }
    this.#wake()
  }

  /** Drops what is not in flight. An identity that waits for a retry gets its last error. */
  #drain(): void {
    const { hold } = this.#options
    const waiting = this.#queue.splice(0)
    this.#source.stop()
    this.#outage.stopWaiting()
    this.#isCutShort = waiting.some(({ error }) => error === undefined)
    for (const { identity, error } of waiting) if (error) this.#makeReady({ identity, error })
    // The drain waits for this run even while the consumer is busy and does not.
    hold.begin()
    this.#onDrained = () => {
      this.#onDrained = undefined
      this.#isDrained = true
      hold.end()
    }
    this.#checkDrained()
    this.#wake()
  }

  #checkDrained(): void {
    if (this.#inFlight + this.#ready.length + this.#queue.length === 0) this.#onDrained?.()
  }

  #fill(): void {
    while (!this.#fatal && this.#hasRoom()) {
      const pauseMs = this.#outage.pauseMs()
      if (pauseMs > 0) return this.#sleep(pauseMs)
      // Failed identities come last, because otherwise one bad identity could look like an outage.
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
    const max = this.#outage.isProbing ? 1 : this.#options.concurrency
    return this.#inFlight + this.#ready.length < max
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
        this.#checkDrained()
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
    // A page of a proxy or a firewall is not an outage, and may affect this identity only.
    const isFinal = !error.retryable || isForeignPage(error)
    if (isFinal || !this.#outage.mayWait) return this.#makeReady({ identity, error })

    this.#outage.recordFailure(error)
    if (work.error === undefined) work.successesBefore = this.#outage.successes
    work.error = error
    const now = this.#options.clock.monotonic()
    work.failedSince ??= now
    // An open circuit says nothing about this identity, but a failure of its last mint does.
    if (error.attempts > 0 || error.refusedBy === 'key') {
      // A rate limit says nothing about one identity.
      if (error.code !== 'VKIT_RATE_LIMITED') work.attempts++
      work.notBefore = now + (error.retryAfterMs ?? 0)
    }
    this.#queue.push(work)
    this.#rejectExhausted()
  }

  /** Yields the errors of identities that are not retried: the failure is their own, or the outage is too long. */
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
      // The reason that ended the run is more useful than a later error.
      if (!this.#fatal) throw error
    }
  }
}

function newWork(identity: string): Work {
  return { identity, attempts: 0, notBefore: 0, failedSince: undefined, successesBefore: 0 }
}
