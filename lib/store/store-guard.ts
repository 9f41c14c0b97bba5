import { backoffMs, type Backoff, type Random } from '../core/backoff.js'
import type { Clock } from '../core/clock.js'
import type { Events } from '../core/events.js'
import type { TokenStore } from './shared-store.js'

type Operation = 'get' | 'set' | 'delete'

export interface StoreGuardOptions {
  readonly store: TokenStore
  readonly clock: Clock
  readonly events: Events
  readonly random: Random
}

/** The result of an operation: `value` comes in time or is undefined; `settled` comes when the store itself is done. */
export interface StoreOutcome {
  readonly value: Promise<unknown>
  readonly settled: Promise<unknown>
}

/** How long an operation is waited for. */
const TIMEOUT_MS = 100
const FAILURES_TO_PAUSE = 2
/** From half to the whole of a time that doubles: many processes lost the same store at the same moment. */
const PAUSES: Backoff = { firstMs: 1_000, longestMs: 30_000, jitter: 0.5 }
/** How many writes that the store is not done with are tracked. */
const MAX_PENDING_WRITES = 1_000
const NOTHING: StoreOutcome = { value: Promise.resolve(undefined), settled: Promise.resolve(undefined) }

/**
 * Isolates the calls from a store in trouble: an operation never rejects, never takes longer than 100 ms, and is paused for a
 * while after it has failed twice in a row, until it succeeds.
 *
 * So two calls, one after the other, pay 100 ms each for a store in trouble; of concurrent calls, each that began before the
 * second failure. While the store is paused, and during a probe, no call waits for it.
 */
export class StoreGuard {
  readonly #store: TokenStore
  readonly #clock: Clock
  readonly #events: Events
  readonly #random: Random
  /** A store may well read and not write, or the other way round: what works says nothing of what does not. */
  readonly #health = { get: healthy(), set: healthy(), delete: healthy() }
  readonly #pending = new Set<() => void>()
  #pauses = 0
  #pause: { readonly until: number; readonly cause: Operation } | undefined

  constructor({ store, clock, events, random }: StoreGuardOptions) {
    this.#store = store
    this.#clock = clock
    this.#events = events
    this.#random = random
  }

  /** What the store holds, or undefined if it does not respond in time. */
  get(key: string, signal: AbortSignal): Promise<unknown> {
    return this.#run('get', () => this.#store.get(key), signal).value
  }

  set(key: string, value: string, ttlMs: number): StoreOutcome {
    return this.#run('set', () => this.#store.set(key, value, ttlMs))
  }

  /** Sent even while the store is paused: it may still arrive, and no call waits for it. */
  delete(key: string): StoreOutcome {
    return this.#run('delete', () => this.#store.delete(key))
  }

  #run(operation: Operation, task: () => unknown, signal?: AbortSignal): StoreOutcome {
    const pause = this.#pause
    const isProbe = pause !== undefined && this.#isProbe(operation, pause)
    if (pause && !isProbe && operation !== 'delete') return NOTHING
    if (!isProbe && operation === 'set' && this.#pending.size >= MAX_PENDING_WRITES) return NOTHING
    // Set now and not when the probe fails: one that never settles must not be the last.
    if (isProbe) this.#startPause(pause.cause)
    // `new Promise`, for the store may well throw where it should reject.
    const settled = new Promise<unknown>(resolve => resolve(task()))
    const value = this.#withTimeout(operation, settled, { signal, isProbe })
    return { value: pause ? NOTHING.value : value, settled: operation === 'get' ? settled : this.#track(settled) }
  }

  /** Removals may be rare: where they failed, any operation may end the pause. */
  #isProbe(operation: Operation, { until, cause }: { until: number; cause: Operation }): boolean {
    return this.#clock.monotonic() >= until && (operation === cause || cause === 'delete')
  }

  /** Until the store is done with it, or too many have come since. */
  #track(settled: Promise<unknown>): Promise<unknown> {
    const tracked = new Promise<unknown>((resolve, reject) => {
      const stopTracking = (): void => {
        this.#pending.delete(stopTracking)
        resolve(undefined)
      }
      const [oldest] = this.#pending
      if (this.#pending.size >= MAX_PENDING_WRITES) oldest?.()
      this.#pending.add(stopTracking)
      const done = (): boolean => this.#pending.delete(stopTracking)
      settled.then(done, done)
      settled.then(resolve, reject)
    })
    // A caller who wants the failure handles it.
    tracked.catch(() => undefined)
    return tracked
  }

  async #withTimeout(operation: Operation, settled: Promise<unknown>, { signal, isProbe }: Watch): Promise<unknown> {
    const timer = new AbortController()
    const stop = (): void => timer.abort()
    signal?.addEventListener('abort', stop)
    const startedAt = this.#clock.monotonic()
    // One more turn of the event loop: if this process was busy, the response has been there for long.
    const timeout = this.#clock
      .sleep(TIMEOUT_MS, timer.signal)
      .then(nextTurn)
      .then(() => TIMED_OUT)
    try {
      const value = await Promise.race([settled, timeout])
      // The call or the client has ended: that says nothing of the store.
      if (value === TIMED_OUT && signal?.aborted) return undefined
      if (value === TIMED_OUT) return this.#fail(operation, 'timeout', startedAt)
      this.#recover(operation, isProbe)
      return value
    } catch {
      return this.#fail(operation, 'error', startedAt)
    } finally {
      stop()
      signal?.removeEventListener('abort', stop)
    }
  }

  #fail(operation: Operation, reason: 'timeout' | 'error', startedAt: number): undefined {
    this.#events.emit({ type: 'store-failure', operation, reason })
    const health = this.#health[operation]
    // A hundred operations that meet the same trouble at once are one failure.
    if (startedAt < health.failedAt) return
    health.failedAt = this.#clock.monotonic()
    health.failures++
    if (health.failures >= FAILURES_TO_PAUSE && !this.#pause) this.#startPause(operation)
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
    // Else the next failed removal pauses it for longer.
    if (isCause) this.#pauses = 0
    this.#events.emit({ type: 'store-resume' })
  }
}

interface Watch {
  readonly signal: AbortSignal | undefined
  readonly isProbe: boolean
}

function healthy(): { failures: number; failedAt: number } {
  return { failures: 0, failedAt: -Infinity }
}

const TIMED_OUT = Symbol('timed out')

function nextTurn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
