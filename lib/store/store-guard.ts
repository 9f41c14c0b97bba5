import { backoffMs, type Backoff, type Random } from '../core/backoff.js'
import { busyMs, callAfter, type Clock } from '../core/clock.js'
import type { Deadline } from '../core/deadline.js'
import type { Events } from '../core/events.js'
import { WORK_ENDS_WITH_REQUEST } from '../core/request-context.js'
import { inNextTurn } from '../core/machine.js'
import type { TokenStore } from './token-store.js'

type Operation = 'get' | 'set' | 'delete' | 'publish' | 'lease'

/** The result of an operation that failed, was too slow, or was not tried because the store is paused. */
export const UNAVAILABLE: unique symbol = Symbol('unavailable')

export interface StoreGuardOptions {
  readonly store: TokenStore
  readonly clock: Clock
  readonly events: Events
  readonly random: Random
}

/** The result of an operation. `value` can be `UNAVAILABLE`; `settled` resolves when the store itself is done. */
export interface StoreOutcome {
  readonly value: Promise<unknown>
  readonly settled: Promise<unknown>
}

/** The time limit of an operation. */
const TIMEOUT_MS = 100
/** If this process is busy, an operation has more time, up to this much in all. */
const LONGEST_BUSY_MS = 2_000
const SHORTEST_BUSY_MS = 10
const FAILURES_TO_PAUSE = 2
/** They are tried even while the store is paused: they may still arrive, and no call waits for them then. */
const ALWAYS = new Set<Operation>(['delete', 'publish'])
/** A failure of one of them does not pause the store, which is of use without them. */
const OPTIONAL = new Set<Operation>(['publish', 'lease'])
/** They change nothing that lasts. */
const UNTRACKED = new Set<Operation>(['get', 'lease'])
/** Half of each wait is random, because many processes lose the same store at the same time. */
const PAUSES: Backoff = { firstMs: 1_000, longestMs: 30_000, jitter: 0.5 }
/** The maximum number of tracked pending writes. */
const MAX_PENDING_WRITES = 1_000
/** The outcome of an operation that was not tried. */
export const NOTHING: StoreOutcome = { value: Promise.resolve(UNAVAILABLE), settled: Promise.resolve(undefined) }

/**
 * Isolates calls from a failing store. An operation never rejects and takes at most 100 ms, not counting the time in
 * which this process is busy. After two consecutive failures of an operation the store is paused, until a probe succeeds.
 *
 * So a failing store delays two sequential calls by 100 ms each, and all concurrent calls that begin before the second
 * failure. While the store is paused, and during a probe, no call waits for it.
 */
export class StoreGuard {
  readonly #store: TokenStore
  readonly #clock: Clock
  readonly #events: Events
  readonly #random: Random
  /** A store may read but not write, or the reverse, so each operation has its own state. */
  readonly #health = { get: healthy(), set: healthy(), delete: healthy(), publish: healthy(), lease: healthy() }
  readonly #pending = new Set<() => void>()
  #pauses = 0
  #pause: { readonly until: number; readonly cause: Operation } | undefined

  constructor({ store, clock, events, random }: StoreGuardOptions) {
    this.#store = store
    this.#clock = clock
    this.#events = events
    this.#random = random
  }

  /** Whether the store is left alone for a while, apart from probes. */
  get isPaused(): boolean {
    return this.#pause !== undefined
  }

  /** Returns the stored text. */
  get(key: string, call?: Pick<Deadline, 'onAbort'>): Promise<unknown> {
    return this.#run('get', () => this.#store.get(key), call).value
  }

  set(key: string, value: string, ttlMs: number): StoreOutcome {
    return this.#run('set', () => this.#store.set(key, value, ttlMs))
  }

  /** Removes a text, even while the store is paused: the removal may still arrive, and no call waits for it. */
  delete(key: string): StoreOutcome {
    return this.#run('delete', () => this.#store.delete(key))
  }

  /** Sends a message, even while the store is paused, because a removal would be of no use without it. */
  publish(channel: string, message: string): StoreOutcome {
    return this.#run('publish', () => this.#store.publish?.(channel, message))
  }

  /** Takes or extends a lease. There are never more than mints, so they are not tracked as writes are. */
  lease(task: () => unknown): Promise<unknown> {
    return this.#run('lease', task).value
  }

  /** Ends the wait for the next probe, because something shows that the store can be reached again. */
  probeNow(): void {
    if (!this.#pause) return
    this.#pauses = 0
    this.#pause = { ...this.#pause, until: this.#clock.monotonic() }
  }

  #run(operation: Operation, task: () => unknown, call?: Pick<Deadline, 'onAbort'>): StoreOutcome {
    const pause = this.#pause
    const isProbe = pause !== undefined && this.#isProbe(operation, pause)
    if (pause && !isProbe && !ALWAYS.has(operation)) return NOTHING
    if (!isProbe && operation === 'set' && this.#isFull) return NOTHING
    // Set now and not when the probe fails: a probe that never settles must not be the last one.
    if (isProbe) this.#startPause(pause.cause)
    // `new Promise`, because a store may throw synchronously.
    const settled = new Promise<unknown>(resolve => resolve(task()))
    const value = this.#withTimeout(operation, settled, { call, isProbe })
    return { value: pause ? NOTHING.value : value, settled: UNTRACKED.has(operation) ? settled : this.#track(settled) }
  }

  /** Whether the store has too many pending writes. Those whose requests have ended do not count. */
  get #isFull(): boolean {
    return !WORK_ENDS_WITH_REQUEST && this.#pending.size >= MAX_PENDING_WRITES
  }

  /** Removals may be rare, so any operation that shows whether the store works can end a pause that they caused. */
  #isProbe(operation: Operation, { until, cause }: { until: number; cause: Operation }): boolean {
    return this.#clock.monotonic() >= until && (operation === cause || (cause === 'delete' && !OPTIONAL.has(operation)))
  }

  /** Tracks a write until the store is done with it, or there are too many newer ones. */
  #track(settled: Promise<unknown>): Promise<unknown> {
    const tracked = new Promise<unknown>((resolve, reject) => {
      const stopTracking = (): void => {
        this.#pending.delete(stopTracking)
        resolve(undefined)
      }
      const [oldest = stopTracking] = this.#pending
      if (this.#pending.size >= MAX_PENDING_WRITES) oldest()
      this.#pending.add(stopTracking)
      const done = (): boolean => this.#pending.delete(stopTracking)
      settled.then(done, done)
      settled.then(resolve, reject)
    })
    // A caller that needs the failure handles it.
    tracked.catch(() => undefined)
    return tracked
  }

  #withTimeout(operation: Operation, settled: Promise<unknown>, { call, isProbe }: Watch): Promise<unknown> {
    const startedAt = this.#clock.monotonic()
    return new Promise(resolve => {
      let isDone = false
      const end = (result: () => unknown): void => {
        if (isDone) return
        isDone = true
        for (const stop of stops) stop()
        resolve(result())
      }
      const stops = [this.#afterTimeLimit(() => end(() => this.#fail(operation, 'timeout', startedAt)))]
      // The call or the client has ended, which does not show whether the store works.
      if (call) stops.push(call.onAbort(() => end(() => UNAVAILABLE)))
      settled.then(
        value =>
          end(() => {
            this.#recover(operation, isProbe)
            return value
          }),
        () => end(() => this.#fail(operation, 'error', startedAt)),
      )
    })
  }

  /**
   * Calls `task` after the time limit, unless the returned function is called before.
   *
   * The time does not count in which this process was too busy to send or to receive.
   */
  #afterTimeLimit(task: () => void): () => void {
    const endsAt = this.#clock.monotonic() + LONGEST_BUSY_MS
    let stop = (): void => undefined
    const wait = (ms: number): void => {
      const [startedAt, busyBefore] = [this.#clock.monotonic(), busyMs(this.#clock)]
      stop = callAfter(this.#clock, ms, () => {
        const now = this.#clock.monotonic()
        const lostMs = Math.max(now - startedAt - ms, busyMs(this.#clock) - busyBefore)
        const leftMs = Math.min(ms, lostMs, endsAt - now)
        if (leftMs > SHORTEST_BUSY_MS) wait(leftMs)
        // A response that has arrived is read in the next turn of the event loop.
        else inNextTurn(task)
      })
    }
    wait(TIMEOUT_MS)
    return () => stop()
  }

  #fail(operation: Operation, reason: 'timeout' | 'error', startedAt: number): typeof UNAVAILABLE {
    this.#events.emit({ type: 'store-failure', operation, reason })
    if (OPTIONAL.has(operation)) return UNAVAILABLE
    const health = this.#health[operation]
    // Concurrent failures with the same cause count as one.
    if (startedAt < health.failedAt) return UNAVAILABLE
    health.failedAt = this.#clock.monotonic()
    health.failures++
    if (health.failures >= FAILURES_TO_PAUSE && !this.#pause) this.#startPause(operation)
    return UNAVAILABLE
  }

  #startPause(cause: Operation): void {
    const durationMs = backoffMs(this.#pauses++, PAUSES, this.#random)
    this.#pause = { until: this.#clock.monotonic() + durationMs, cause }
    this.#events.emit({ type: 'store-pause', durationMs })
  }

  #recover(operation: Operation, isProbe: boolean): void {
    this.#health[operation].failures = 0
    const isCause = operation === this.#pause?.cause
    if (!this.#pause || !(isCause || isProbe)) return
    this.#pause = undefined
    // A probe of another operation keeps the count, so the next failed removal causes a longer pause.
    if (isCause) this.#pauses = 0
    this.#events.emit({ type: 'store-resume' })
  }
}

interface Watch {
  readonly call: Pick<Deadline, 'onAbort'> | undefined
  readonly isProbe: boolean
}

function healthy(): { failures: number; failedAt: number } {
  return { failures: 0, failedAt: -Infinity }
}
