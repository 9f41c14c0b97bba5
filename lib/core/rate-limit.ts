import type { Clock } from './clock.js'

/** Allows `perSecond` units of work a second on average, and the units of two seconds at once. */
export class RateLimit {
  readonly #clock: Clock
  readonly #perSecond: number
  #left: number
  #at: number

  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock
    this.#perSecond = perSecond
    this.#left = 2 * perSecond
    this.#at = clock.monotonic()
  }

  /** Spends `units`. Returns false, and spends nothing, if too few are left. */
  spend(units: number): boolean {
    const now = this.#clock.monotonic()
    const earned = ((now - this.#at) / 1_000) * this.#perSecond
    this.#left = Math.min(2 * this.#perSecond, this.#left + earned)
    this.#at = now
    if (this.#left < units) return false
    this.#left -= units
    return true
  }
}
