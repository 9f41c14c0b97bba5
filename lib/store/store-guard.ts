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

/** What became of an operation: `value` comes in time or not at all; `settled` when the store itself has done with it. */
export interface StoreOutcome {
  readonly value: Promise<unknown>
  readonly settled: Promise<unknown>
}

/** What one operation may take before it is given up. */
const TIMEOUT_MS = 100
const FAILURES_TO_PAUSE = 2
/** From half to the whole of a time that doubles: many processes lost the same store at the same moment. */
const PAUSES: Backoff = { firstMs: 1_000, longestMs: 30_000, jitter: 0.5 }
/** How many writes that the store has not done with are kept track of. */
const MAX_PENDING_WRITES = 1_000
const NOTHING: StoreOutcome = { value: Promise.resolve(undefined), settled: Promise.resolve(undefined) }

/**
 * Makes a store of somebody else's harmless: it never rejects, never takes longer than 100 ms, and is left alone for a
 * while after one of its operations has failed twice in a row, until that operation succeeds.
 *
 * So two calls, one after the other, pay for a store in trouble, 100 ms each; of calls at the same time every one that
 * began before the second failure. While the store is paused, and while it is tried again, nobody waits for it.
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

  /** What the store holds, or undefined where it does not say so in time. */
  get(key: string, signal: AbortSignal): Promise<unknown> {
    return this.#run('get', () => this.#store.get(key), signal).value
  }

  set(key: string, value: string, ttlMs: number): StoreOutcome {
    return this.#run('set', () => this.#store.set(key, value, ttlMs))
  }

  /** Is asked for even while the store is paused: it may yet hear of it, and nobody waits. */
  delete(key: string): StoreOutcome {
    return this.#run('delete', () => this.#store.delete(key))
  }

  #run(operation: Operation, task: () => unknown, signal?: AbortSignal): StoreOutcome {
    const pause = this.#pause
    const isTrial = pause !== undefined && this.#isTrial(operation, pause)
    if (pause && !isTrial && operation !== 'delete') return NOTHING
    if (!isTrial && operation === 'set' && this.#pending.size >= MAX_PENDING_WRITES) return NOTHING
    // Set now and not when the trial fails: one that never settles must not be the last.
    if (isTrial) this.#startPause(pause.cause)
    // `new Promise`, for the store may well throw where it should reject.
    const settled = new Promise<unknown>(resolve => resolve(task()))
    const value = this.#inTime(operation, settled, { signal, isTrial })
    return { value: pause ? NOTHING.value : value, settled: operation === 'get' ? settled : this.#track(settled) }
  }

  /** Removals may be rare: where they are the trouble, any operation may end the pause. */
  #isTrial(operation: Operation, { until, cause }: { until: number; cause: Operation }): boolean {
    return this.#clock.monotonic() >= until && (operation === cause || cause === 'delete')
  }

  /** Until the store has done with it, or too many have come since. */
  #track(settled: Promise<unknown>): Promise<unknown> {
    const tracked = new Promise<unknown>((resolve, reject) => {
      const giveUp = (): void => {
        this.#pending.delete(giveUp)
        resolve(undefined)
      }
      const [oldest] = this.#pending
      if (this.#pending.size >= MAX_PENDING_WRITES) oldest?.()
      this.#pending.add(giveUp)
      const done = (): boolean => this.#pending.delete(giveUp)
      settled.then(done, done)
      settled.then(resolve, reject)
    })
    // Whoever asks for it handles it; nobody need ask.
    tracked.catch(() => undefined)
    return tracked
  }

  async #inTime(operation: Operation, settled: Promise<unknown>, { signal, isTrial }: Watch): Promise<unknown> {
    const timer = new AbortController()
    const stop = (): void => timer.abort()
    signal?.addEventListener('abort', stop)
    const startedAt = this.#clock.monotonic()
    // A turn of the event loop more: where it was this process that was busy, the answer has long been there.
    const late = this.#clock
      .sleep(TIMEOUT_MS, timer.signal)
      .then(aTurn)
      .then(() => LATE)
    try {
      const value = await Promise.race([settled, late])
      // The call or the client has ended: that says nothing of the store.
      if (value === LATE && signal?.aborted) return undefined
      if (value === LATE) return this.#fail(operation, 'timeout', startedAt)
      this.#recover(operation, isTrial)
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

  #recover(operation: Operation, isTrial: boolean): void {
    this.#health[operation].failures = 0
    const isCause = operation === this.#pause?.cause
    if (!this.#pause || !(isCause || isTrial)) return
    this.#pause = undefined
    // Else the next failed removal pauses it for longer.
    if (isCause) this.#pauses = 0
    this.#events.emit({ type: 'store-resume' })
  }
}

interface Watch {
  readonly signal: AbortSignal | undefined
  readonly isTrial: boolean
}

function healthy(): { failures: number; failedAt: number } {
  return { failures: 0, failedAt: -Infinity }
}

const LATE = Symbol('late')

function aTurn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
