import { callAfter } from '../core/clock.js'
import { VKitRateLimitError } from '../core/errors.js'
import { onAbort } from '../core/on-abort.js'
import type { ProcessHold } from '../core/process-hold.js'
import { VKitError } from '../core/vkit-error.js'
import { isForeignPage } from '../gateway/response-errors.js'
import type { SessionTokenResult } from '../options/types.js'
import type { SessionToken } from '../token/session-token.js'
import { IdentitySource } from './identity-source.js'
import { MintPace } from './mint-pace.js'
import { WorkPlan, type WorkPlanOptions } from './work-plan.js'
import { newWork, type Work } from './work-queue.js'

export interface TokenBatchOptions extends WorkPlanOptions {
  /** How many mints the client has in flight at most, at this time. */
  readonly concurrencyLimit: () => number
  /** Whether there are calls of the client in addition to those of batches. */
  readonly hasCallers: () => boolean
  /** Returns a token that needs no mint. @throws VKitArgumentError if the identity is invalid */
  readonly findToken: (identity: string) => SessionToken | undefined
  /** Rejects with a `VKitError`, also if the identity is invalid. `isReference`: mints, and leaves the cache as it is. */
  readonly getToken: (
    identity: string,
    options: { readonly signal: AbortSignal; readonly isReference: boolean },
  ) => Promise<SessionToken>
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
/** So much more than the client's concurrency limit is in flight, because the limit grows only while mints wait. */
const FILL_FACTOR = 1.25
/** For a client without a concurrency limit, as at the edge. */
const UNLIMITED_CONCURRENCY = 16

/** A result, and the monotonic time since which it waits for the consumer. */
interface Ready {
  readonly result: SessionTokenResult
  readonly since: number
}

/**
 * Gets a token for each of many identities, a bounded number at a time.
 *
 * The source is pulled only when there is room. The identities in flight and waiting for the consumer are at most
 * `concurrency`, and a few thousand wait for a retry. A long source or a slow consumer does not change that.
 */
export class TokenBatch {
  readonly #options: TokenBatchOptions
  readonly #pace: MintPace
  readonly #ready: Ready[] = []
  readonly #cancel = new AbortController()
  readonly #cancelReferences = new AbortController()
  #inFlight = 0
  #source!: IdentitySource
  #plan!: WorkPlan
  /** The next identity, which waits for its time. */
  #next: Work | undefined
  #fatal: { readonly reason: unknown } | undefined
  /** Whether a drain dropped identities that were read and not started. */
  #isCutShort = false
  /** Called when a drain has nothing to wait for in this run. */
  #onDrained: (() => void) | undefined
  #isDrained = false
  /** When the run next checks what it can start. */
  #wakesAt = Infinity
  #stopTimer: () => void = () => undefined
  #wake: () => void = () => undefined

  constructor(options: TokenBatchOptions) {
    this.#options = options
    this.#pace = new MintPace(options)
  }

  async *run(
    identities: Iterable<string> | AsyncIterable<string>,
  ): AsyncGenerator<SessionTokenResult, void, undefined> {
    const { signals, draining, hold } = this.#options
    for (const signal of [...signals, draining]) if (signal.aborted) throw signal.reason
    const leave = signals.map(signal => onAbort(signal, () => this.#end(signal.reason)))
    leave.push(onAbort(draining, () => this.#drain()))
    this.#source = new IdentitySource(identities, {
      onIdentity: identity => this.#plan.add(newWork(identity)),
      onChange: () => this.#wake(),
    })
    this.#plan = new WorkPlan(this.#options, this.#source)
    try {
      for (;;) {
        this.#fill()
        if (this.#fatal) break
        const ready = this.#ready.shift()
        if (ready && this.#isStale(ready)) this.#plan.add(newWork(ready.result.identity))
        else if (ready) {
          this.#checkDrained()
          yield ready.result
        } else if (this.#isDone()) break
        else await hold.during(this.#nextChange())
      }
    } finally {
      for (const stop of leave) stop()
      this.#stopTimer()
      this.#onDrained?.()
      this.#cancel.abort()
      this.#cancelReferences.abort()
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
    return this.#source.isExhausted && this.#pending === 0
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
    const next = this.#next && !this.#next.isReference ? [this.#next] : []
    const waiting = [...next, ...this.#plan.drain()]
    this.#next = undefined
    this.#cancelReferences.abort()
    this.#source.stop()
    this.#isCutShort = waiting.some(({ error }) => error === undefined)
    this.#reject(waiting)
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
    if (this.#pending + this.#ready.length === 0) this.#onDrained?.()
  }

  /** How many identities have no result yet. */
  get #pending(): number {
    return this.#inFlight + this.#plan.size + (this.#next ? 1 : 0)
  }

  #fill(): void {
    const max = this.#maxInFlight()
    while (!this.#fatal && this.#inFlight + this.#ready.length < max) {
      this.#reject(this.#plan.takeRejected())
      // One that waits has been looked for, and is looked for again only when its time has come.
      const isWaiting = this.#next !== undefined
      // Read before, because an identity that is not ready yet can be so a moment later.
      const [now, pauseMs] = [this.#options.clock.monotonic(), this.#plan.pauseMs()]
      const work = (this.#next ??= this.#plan.next({ inFlight: this.#inFlight, max }))
      if (!work) return this.#sleep(Math.max(pauseMs, this.#plan.readyAt - now))
      const waitMs = this.#pace.delayMs()
      const found = isWaiting && waitMs > 0 ? undefined : this.#find(work)
      if (!found && waitMs > 0) return this.#sleep(waitMs)
      this.#next = undefined
      if (found) {
        this.#plan.release(work)
        this.#makeReady({ identity: work.identity, token: found })
      } else this.#start(work)
    }
  }

  #find({ identity, isReference }: Work): SessionToken | undefined {
    try {
      if (!isReference) return this.#options.findToken(identity)
    } catch {
      // `getToken` rejects with the same error.
    }
    return undefined
  }

  #maxInFlight(): number {
    const limit = this.#options.concurrencyLimit()
    return Math.min(
      this.#options.concurrency,
      limit < Infinity ? Math.ceil(FILL_FACTOR * limit) : UNLIMITED_CONCURRENCY,
    )
  }

  #sleep(ms: number): void {
    const { clock } = this.#options
    const wakesAt = clock.monotonic() + ms
    if (ms <= 0 || this.#wakesAt <= wakesAt) return
    this.#stopTimer()
    this.#wakesAt = wakesAt
    this.#stopTimer = callAfter(clock, ms, () => {
      this.#wakesAt = Infinity
      this.#wake()
    })
  }

  #start(work: Work): void {
    this.#inFlight++
    const { identity, isReference } = work
    const paced = this.#pace.start()
    void this.#options
      .getToken(identity, { signal: this.#signalOf(work), isReference })
      .then(
        token => this.#succeed(work, token),
        (error: unknown) => {
          const isLimited = error instanceof VKitRateLimitError && error.attempts > 0 && this.#plan.showsRate(work)
          if (isLimited) this.#pace.recordRefusal(paced)
          this.#fail(work, error)
        },
      )
      .finally(() => {
        this.#inFlight--
        this.#checkDrained()
        this.#wake()
      })
  }

  /** A drain ends references, and waits for the others. */
  #signalOf({ isReference }: Work): AbortSignal {
    return (isReference ? this.#cancelReferences : this.#cancel).signal
  }

  #succeed(work: Work, token: SessionToken): void {
    const { identity, isReference } = work
    this.#plan.succeed(work)
    if (!isReference) this.#makeReady({ identity, token })
  }

  #fail(work: Work, error: unknown): void {
    if (this.#signalOf(work).aborted) return
    if (!(error instanceof VKitError) || ENDS_RUN.has(error.code)) return this.#end(error)
    // A page of a proxy or a firewall is not an outage, and may affect this identity only.
    const isFinal = !error.retryable || isForeignPage(error) || !this.#plan.mayRetry
    if (!isFinal) return this.#plan.fail(work, error)
    this.#plan.end(work)
    if (!work.isReference) this.#makeReady({ identity: work.identity, error })
  }

  /** Yields the last error of each identity that is not retried. */
  #reject(works: readonly Work[]): void {
    for (const { identity, error } of works) if (error) this.#makeReady({ identity, error })
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
