import type { Clock } from '../core/clock.js'

interface Sleeper {
  readonly wakeAt: number
  readonly wake: () => void
}

/**
 * A clock that advances only on request. Tests of expiry with it are fast and independent of the time of day.
 *
 * ```ts
 * const clock = new FakeClock()
 * const vkit = new VKitClient({ appSecret, clock })
 * await clock.advance(3_600_000)
 * ```
 */
export class FakeClock implements Clock {
  #wall: number
  #monotonic = 0
  readonly #sleepers = new Set<Sleeper>()

  /** Starts at `startAt`, in epoch milliseconds or RFC 3339. Default: 2030-01-01T00:00:00Z. */
  constructor(startAt: number | string = '2030-01-01T00:00:00Z') {
    this.#wall = epochMs(startAt)
  }

  now(): number {
    return this.#wall
  }

  monotonic(): number {
    return this.#monotonic
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms <= 0 || signal?.aborted) return Promise.resolve()
    return new Promise(resolve => {
      const sleeper: Sleeper = {
        wakeAt: this.#monotonic + ms,
        wake: () => {
          this.#sleepers.delete(sleeper)
          signal?.removeEventListener('abort', sleeper.wake)
          resolve()
        },
      }
      this.#sleepers.add(sleeper)
      signal?.addEventListener('abort', sleeper.wake)
    })
  }

  /** The number of pending sleeps. A test can wait for a sleep to start before it advances the clock. */
  get sleepers(): number {
    return this.#sleepers.size
  }

  /** Advances both clocks by `ms` milliseconds, and ends each pending sleep at its own time. */
  async advance(ms: number): Promise<void> {
    checkDuration(ms)
    const until = this.#monotonic + ms
    for (;;) {
      // A woken sleeper may start another sleep that ends before `until`.
      await settle()
      const next = this.#nextBefore(until)
      if (!next) break
      this.#tick(Math.max(0, next.wakeAt - this.#monotonic))
      next.wake()
    }
    this.#tick(until - this.#monotonic)
    await settle()
  }

  /** Sets the wall clock back or forward, to epoch milliseconds or RFC 3339. The monotonic clock does not change. */
  setWall(to: number | string): void {
    this.#wall = epochMs(to)
  }

  /** Simulates a suspended machine: the wall clock advances by `ms`, the monotonic clock does not, and no sleep ends. */
  suspend(ms: number): void {
    checkDuration(ms)
    this.#wall += ms
  }

  #tick(ms: number): void {
    this.#wall += ms
    this.#monotonic += ms
  }

  #nextBefore(until: number): Sleeper | undefined {
    let next: Sleeper | undefined
    for (const sleeper of this.#sleepers) {
      if (sleeper.wakeAt <= until && (!next || sleeper.wakeAt < next.wakeAt)) next = sleeper
    }
    return next
  }
}

function epochMs(time: number | string): number {
  const ms = typeof time === 'number' ? time : Date.parse(time)
  if (Number.isFinite(ms)) return ms
  throw new RangeError('The time must be epoch milliseconds or an RFC 3339 date.')
}

function checkDuration(ms: number): void {
  if (!(ms >= 0 && ms < Infinity)) throw new RangeError('The duration must be 0 ms or more.')
}

/** Waits one turn of the event loop, so that all promises that can settle have settled. */
function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
