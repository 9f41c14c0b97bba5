import type { Clock } from '../core/clock.js'

interface Sleeper {
  readonly wakeAt: number
  readonly wake: () => void
}

/**
 * A clock that goes only when told to, so that tests of expiry neither sleep nor depend on the hour.
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

  /** Begins at `startAt`, epoch milliseconds or RFC 3339; by default 2030-01-01T00:00:00Z. */
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

  /** How many sleep now: a test can wait for something to have gone to sleep before it advances. */
  get sleepers(): number {
    return this.#sleepers.size
  }

  /** Lets `ms` milliseconds pass on both clocks, waking sleepers one by one, each at its own moment. */
  async advance(ms: number): Promise<void> {
    checkDuration(ms)
    const until = this.#monotonic + ms
    for (;;) {
      // What was woken last may go to sleep again, before `until`.
      await settle()
      const next = this.#nextBefore(until)
      if (!next) break
      this.#tick(Math.max(0, next.wakeAt - this.#monotonic))
      next.wake()
    }
    this.#tick(until - this.#monotonic)
    await settle()
  }

  /** Sets the wall clock back or forward, to epoch milliseconds or RFC 3339, as an administrator may; the monotonic one does not notice. */
  setWall(to: number | string): void {
    this.#wall = epochMs(to)
  }

  /** The machine sleeps for `ms` milliseconds: the wall clock goes on, the monotonic one stands still, no sleep ends. */
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

function epochMs(moment: number | string): number {
  const ms = typeof moment === 'number' ? moment : Date.parse(moment)
  if (Number.isFinite(ms)) return ms
  throw new RangeError('The moment must be epoch milliseconds or an RFC 3339 date.')
}

function checkDuration(ms: number): void {
  if (!(ms >= 0 && ms < Infinity)) throw new RangeError('The duration must be 0 ms or more.')
}

/** A full turn of the event loop: every promise that can settle by itself has. */
function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
