import { busyMs, type Clock } from '../core/clock.js'

/** Mints a second at the start. */
const FIRST_RATE = 300
/** With a lower one, a list would hardly advance if many of its identities always get a 429. */
const MIN_RATE = 2
/** One process sends fewer. */
const MAX_RATE = 10_000
/** A 429 lowers the rate to the share of successes since the last change, within these bounds. */
const MIN_DECREASE = 0.5
const MAX_DECREASE = 0.95
/** While the rate is searched, it doubles in half a second. */
const SEARCH_GROWTH = Math.log(4)
/** Once it is found, it grows slowly, and faster the longer no 429 comes. */
const GROWTH = 0.02
const SLOW_GROWTH_MS = 5_000
/** If the rate falls to this fraction, and most mints succeed all the while, it is not a limit of the rate. */
const FUTILE_DECREASE = 0.25
/** A fall begins with a 429 after this time without one. */
const QUIET_MS = 1_000
/** So many successes between two 429s count: those before the gateway's limit fell say nothing about it. */
const MAX_SURPLUS = 3
/** After a fall in vain, 429s are ignored for this time, or until most mints get one: they concern single identities. */
const IGNORE_MS = 10_000
/** So many 429s at least show that most mints get one. */
const MIN_SAMPLE = 10
/** If there are callers, a run leaves the rest of the event loop free for them. It is measured over this time. */
const MAX_BUSY_SHARE = 0.85
const BUSY_WINDOW_MS = 200
/** Not below this rate, because what keeps the process busy may be something else. */
const MIN_BUSY_RATE = 300
/** A late timer may catch up on this much time. */
const CATCH_UP_MS = 20
/** With longer intervals than this, it does not: a gateway can refuse the second of two that follow closely. */
const TIMER_MS = 4

export interface MintPaceOptions {
  /** Whether callers mint too, who wait for their turn in the same event loop. */
  readonly hasCallers: () => boolean
  readonly clock: Clock
}

/** The start of a mint. */
export interface PacedMint {
  readonly sentAt: number
  /** How many were sent since the last change of the rate, with this one. */
  readonly position: number
}

/**
 * Finds how many mints a second a gateway with a rate limit accepts.
 *
 * A concurrency limit cannot hold a rate: a 429 comes sooner than a token, so the next mint would start earlier. The rate
 * doubles each half second until the first 429. Then it follows the gateway with small steps: up with time, down at each 429.
 */
export class MintPace {
  readonly #clock: Clock
  readonly #hasCallers: () => boolean
  /** Mints a second. */
  #rate = FIRST_RATE
  #isSearching = true
  #nextAt = -Infinity
  /** Mints sent before say nothing about the rate. */
  #changedAt: number
  #grownAt: number
  /** Since when no 429 has come, without the time in which the rate was not used. */
  #quietSince: number
  /** Of the mints sent since the last change. */
  #sent = 0
  #refusals = 0
  /** The rate before it began to fall, and how many more successes than 429s there were since. */
  #fallsFrom = FIRST_RATE
  #surplus = 0
  #ignoresUntil: number
  /** The mints started since the event loop was measured. */
  #starts = 0
  #isBusy = false
  #measured: { readonly at: number; readonly busyMs: number }

  constructor({ clock, hasCallers }: MintPaceOptions) {
    this.#clock = clock
    this.#hasCallers = hasCallers
    this.#changedAt = this.#grownAt = this.#quietSince = this.#ignoresUntil = clock.monotonic()
    this.#measured = { at: this.#changedAt, busyMs: busyMs(clock) }
  }

  /** Returns how long the next mint has to wait. */
  delayMs(): number {
    const now = this.#clock.monotonic()
    this.#grow(now)
    this.#yieldToCallers(now)
    return Math.max(0, this.#nextAt - now)
  }

  start(): PacedMint {
    const now = this.#clock.monotonic()
    const intervalMs = 1_000 / this.#rate
    this.#nextAt = Math.max(this.#nextAt, now - (intervalMs < TIMER_MS ? CATCH_UP_MS : 0)) + intervalMs
    this.#starts++
    return { sentAt: now, position: ++this.#sent }
  }

  /** Records that a mint got a 429. */
  recordRefusal({ sentAt, position }: PacedMint): void {
    if (sentAt < this.#changedAt) return
    this.#refusals++
    // A token takes longer than a 429, so all others that were sent before count as successes, with or without a result.
    const successes = Math.max(0, position - this.#refusals)
    const now = this.#clock.monotonic()
    if (now >= this.#ignoresUntil || (this.#refusals >= MIN_SAMPLE && this.#refusals > successes))
      this.#decrease(successes, now)
  }

  #decrease(successes: number, now: number): void {
    const share = successes / (successes + this.#refusals)
    if (now - this.#changedAt > QUIET_MS) this.#startFall()
    else this.#surplus += Math.min(MAX_SURPLUS, successes) - this.#refusals
    // The rate is found when most mints succeed.
    this.#isSearching &&= share <= MIN_DECREASE
    this.#ignoresUntil = now
    this.#change(this.#rate * Math.min(MAX_DECREASE, Math.max(MIN_DECREASE, share)), now)
    if (this.#rate > this.#fallsFrom * FUTILE_DECREASE) return
    this.#isSearching = this.#surplus <= 0
    if (!this.#isSearching) {
      this.#ignoresUntil = now + IGNORE_MS
      this.#change(this.#fallsFrom, now)
    }
    this.#startFall()
  }

  #startFall(): void {
    this.#fallsFrom = this.#rate
    this.#surplus = 0
  }

  #change(rate: number, now: number): void {
    this.#rate = Math.max(MIN_RATE, rate)
    this.#changedAt = this.#grownAt = this.#quietSince = now
    this.#nextAt = now + 1_000 / this.#rate
    this.#sent = this.#refusals = 0
  }

  /** Lowers the rate to what the event loop has time for, because a caller waits for its turn too. */
  #yieldToCallers(now: number): void {
    const { at, busyMs: busyBefore } = this.#measured
    if (now - at < BUSY_WINDOW_MS) return
    this.#measured = { at: now, busyMs: busyMs(this.#clock) }
    const share = (this.#measured.busyMs - busyBefore) / (now - at)
    const rate = (this.#starts / (now - at)) * 1_000 * (MAX_BUSY_SHARE / share)
    this.#starts = 0
    this.#isBusy = share > MAX_BUSY_SHARE && this.#hasCallers()
    if (this.#isBusy) this.#rate = Math.min(this.#rate, Math.max(MIN_BUSY_RATE, rate))
  }

  /** Only while mints wait for it, because a rate that is not used says nothing about the gateway. */
  #grow(now: number): void {
    const idleMs = Math.max(0, now - Math.max(this.#nextAt, this.#grownAt) - CATCH_UP_MS)
    const seconds = (now - this.#grownAt - idleMs) / 1_000
    this.#quietSince = Math.min(now, this.#quietSince + idleMs)
    const quiet = (now - this.#quietSince) / SLOW_GROWTH_MS
    this.#rate *= 1 + seconds * (this.#isSearching && !this.#isBusy ? SEARCH_GROWTH : GROWTH * (1 + quiet ** 2))
    this.#rate = Math.min(this.#rate, MAX_RATE)
    this.#grownAt = now
  }
}
