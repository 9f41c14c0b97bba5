import { systemClock, type Clock } from '../../../lib/core/clock.js'

/** The longest time that the first failure of a user is remembered. */
export const LONGEST_FIRST_BACKOFF_MS = 200

/** The machine's clock, which can skip some time. */
export class SkippingClock implements Clock {
  #skippedMs = 0

  now(): number {
    return systemClock.now()
  }

  monotonic(): number {
    return systemClock.monotonic() + this.#skippedMs
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms, signal)
  }

  skip(ms: number): void {
    this.#skippedMs += ms
  }
}
