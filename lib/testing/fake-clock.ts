import type { Clock } from '../clock.js'

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
    this.#wall = typeof startAt === 'number' ? startAt : Date.parse(startAt)
    if (!Number.isFinite(this.#wall)) throw new RangeError('startAt must be epoch milliseconds or an RFC 3339 date')
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

  /** Sets the wall clock back or forward, as an administrator or NTP may; the monotonic one does not notice. */
  setWall(ms: number): void {
    this.#wall = ms
  }

  /** The machine sleeps for `ms` milliseconds: the wall clock goes on, the monotonic one stands still, nobody wakes. */
  suspend(ms: number): void {
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

/** A full turn of the event loop: every promise that can settle by itself has. */
function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
