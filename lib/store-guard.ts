import type { Clock } from './clock.js'
import type { Events } from './events.js'
import type { TokenStore } from './shared-store.js'

type Operation = 'get' | 'set' | 'delete'

/** What became of an operation: `value` comes in time or not at all; `settled` when the store itself has done with it. */
export interface StoreOutcome {
  readonly value: Promise<unknown>
  readonly settled: Promise<unknown>
}

/** What one operation may take before it is given up. */
const TIMEOUT_MS = 100
const FAILURES_TO_PAUSE = 2
const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 30_000
const NOTHING: StoreOutcome = { value: Promise.resolve(undefined), settled: Promise.resolve(undefined) }

/**
 * Makes a store of somebody else's harmless: it never rejects, never takes longer than 100 ms, and is left alone for a
 * while after it has failed twice in a row.
 *
 * So the first two calls pay for a store in trouble, 100 ms each, and no other: while it is paused, and while it is tried
 * again, nobody waits for it.
 */
export class StoreGuard {
  readonly #store: TokenStore
  readonly #clock: Clock
  readonly #events: Events
  #failures = 0
  #failedAt = -Infinity
  #pauses = 0
  #pausedUntil: number | undefined

  constructor({ store, clock, events }: { store: TokenStore; clock: Clock; events: Events }) {
    this.#store = store
    this.#clock = clock
    this.#events = events
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
    const isPaused = this.#pausedUntil !== undefined
    const isTrial = isPaused && this.#clock.monotonic() >= (this.#pausedUntil ?? 0)
    if (isPaused && !isTrial && operation !== 'delete') return NOTHING
    // Set now and not when the trial fails: one that never settles must not be the last.
    if (isTrial) this.#pause()
    // `new Promise`, for the store may well throw where it should reject.
    const settled = new Promise<unknown>(resolve => resolve(task()))
    const value = this.#inTime(operation, settled, signal)
    return { value: isPaused ? NOTHING.value : value, settled }
  }

  async #inTime(operation: Operation, settled: Promise<unknown>, signal?: AbortSignal): Promise<unknown> {
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
      this.#recover()
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
    // A hundred operations that meet the same trouble at once are one failure.
    if (startedAt < this.#failedAt) return
    this.#failedAt = this.#clock.monotonic()
    this.#failures++
    if (this.#failures >= FAILURES_TO_PAUSE && this.#pausedUntil === undefined) this.#pause()
  }

  /** From half to the whole of a time that doubles: many processes lost the same store at the same moment. */
  #pause(): void {
    const ceiling = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#pauses++)
    const durationMs = ceiling * (1 - Math.random() / 2)
    this.#pausedUntil = this.#clock.monotonic() + durationMs
    this.#events.emit({ type: 'store-pause', durationMs })
  }

  #recover(): void {
    this.#failures = 0
    this.#pauses = 0
    if (this.#pausedUntil === undefined) return
    this.#pausedUntil = undefined
    this.#events.emit({ type: 'store-resume' })
  }
}

const LATE = Symbol('late')

function aTurn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
