import type { Random } from '../core/backoff.js'
import { busyMs, type Clock } from '../core/clock.js'
import type { Events } from '../core/events.js'
import type { MintGate } from '../gateway/mint-gate.js'
import type { Lease, LeaseState } from '../store/lease.js'
import type { MintedToken } from '../token/session-token.js'
import type { Flight } from './flights.js'

export interface LeaseGateOptions {
  readonly lease: Lease
  readonly flight: Flight
  /** Returns the token of another process, if the flight can use it. */
  readonly findStored: () => Promise<MintedToken | undefined>
  /** Ends a refresh that no call waits for. Returns the token that it would have replaced. */
  readonly postpone: () => MintedToken | undefined
  /** Returns how long a mint takes; undefined if that is not known. */
  readonly medianMintMs: () => number | undefined
  /** How long an attempt takes at most. */
  readonly timeoutMs: number
  readonly clock: Clock
  readonly events: Events
  readonly random: Random
}

/** A call waits for the mint of another process for this time, and for one median mint. */
const LONGEST_WAIT_MS = 1_500
/** So much of the time does not count in which this process is busy: others are probably busy too. */
const LONGEST_BUSY_MS = 3_000
/** And so many medians, at least this long, for the mint of the process that overtook it. */
const OVERTAKING_MEDIANS = 2
const MIN_OVERTAKING_MS = 1_500
/** A mint for a caller with little time starts this much before its end, if a median mint is not longer. */
const MARGIN_MS = 250
/** Until then, it only looks for the token, because most holders succeed. */
const FIRST_RETRY_MS = 400
const FIRST_POLL_MS = 60
/** Together with the usual lifetime of a lease, less than `LONGEST_WAIT_MS`. */
const LONGEST_POLL_MS = 450

/**
 * Lets one process mint for all: the one that has the lease. The others poll the store for its token.
 *
 * A holder can die, hang or be slow, and others may write to the store. So no mint waits longer than a bounded time: then
 * one of the waiting processes overtakes the holder, and if that does not help either, each mints for itself. A flight
 * also mints early enough for the callers that wait for it.
 */
export class LeaseGate implements MintGate {
  readonly #options: LeaseGateOptions
  #waitingSince: number | undefined
  #busyBefore = 0
  #pollMs = FIRST_POLL_MS
  #found: MintedToken | undefined

  constructor(options: LeaseGateOptions) {
    this.#options = options
  }

  /** Whether the mint was unnecessary, because of this token. */
  isFound(token: MintedToken): boolean {
    return token === this.#found
  }

  async enter(): Promise<'mint' | 'wait' | MintedToken> {
    const { lease, flight } = this.#options
    if (flight.mustMint) return 'mint'
    if (this.#mustMintNow()) return this.#mintAnyway({ isFruitless: this.#overdueMs() >= 0 })
    // The lease first, because the token of the previous holder is stored before it is released.
    const [state, stored] = await Promise.all([lease.take(), this.#find()])
    if (stored) return stored
    if (state !== 'held') return this.#mintWith(state)
    if (this.#overdueMs() < 0) return 'wait'
    const overtaking = await lease.overtake()
    if (overtaking === 'held' && this.#overdueMs() < this.#overtakingMs) return 'wait'
    this.#mintWith(overtaking)
    return this.#mintAnyway({ isFruitless: true })
  }

  async wait(): Promise<MintedToken | undefined> {
    const { clock, events, flight, random, postpone } = this.#options
    if (this.#waitingSince === undefined) {
      this.#waitingSince = clock.monotonic()
      this.#busyBefore = busyMs(clock)
      if (flight.isAwaited) events.emit({ type: 'lease-wait' })
    }
    this.#found = flight.isAwaited ? undefined : postpone()
    if (this.#found) return this.#found
    let found: MintedToken | undefined
    do {
      const pollMs = this.#pollMs * (0.5 + 0.5 * random())
      const leftMs = -this.#overdueMs()
      // It overtakes on time, whatever the length of a poll, but does not poll often while it is busy.
      await this.#sleep(leftMs > 0 ? Math.min(pollMs, Math.max(leftMs, 2 * FIRST_POLL_MS)) : pollMs)
      this.#pollMs = Math.min(LONGEST_POLL_MS, 2 * this.#pollMs)
      found = await this.#find()
    } while (!found && clock.monotonic() < this.#waitingSince + FIRST_RETRY_MS && !this.#isUrgent())
    return found
  }

  /** Releases the lease. */
  end(): void {
    this.#options.lease.release()
  }

  /** Sleeps, but not longer than the callers can wait, including those that join meanwhile. */
  async #sleep(ms: number): Promise<void> {
    const { clock, flight } = this.#options
    const until = clock.monotonic() + ms
    for (;;) {
      const leftMs = Math.min(until, this.#latestStart) - clock.monotonic()
      if (leftMs <= 0 || this.#isUrgent()) return
      const wake = new AbortController()
      // With a reason, because abort() without one creates a DOMException with a stack.
      const stop = flight.deadline.onAbort(() => wake.abort('deadline'))
      flight.onJoin = () => {
        if (flight.mustMint || this.#latestStart < until) wake.abort('joined')
      }
      await clock.sleep(leftMs, wake.signal)
      flight.onJoin = undefined
      stop()
    }
  }

  /** Whether the flight must have its turn again now. */
  #isUrgent(): boolean {
    const { flight } = this.#options
    return flight.mustMint || flight.deadline.aborted || this.#mustMintNow()
  }

  async #find(): Promise<MintedToken | undefined> {
    const { lease, findStored } = this.#options
    const found = await findStored()
    if (!found) return undefined
    if (this.#waitingSince !== undefined) lease.recordWait({ startedAt: this.#waitingSince, isFruitless: false })
    return (this.#found = found)
  }

  #mintWith(state: LeaseState): 'mint' {
    if (state === 'taken') this.#options.events.emit({ type: 'lease-taken' })
    return 'mint'
  }

  /** A wait that ended early, because a caller has little time, does not show that waiting is of no use. */
  #mintAnyway({ isFruitless }: { readonly isFruitless: boolean }): 'mint' {
    const { lease, clock, events } = this.#options
    const startedAt = this.#waitingSince ?? clock.monotonic()
    events.emit({ type: 'lease-timeout', waitedMs: clock.monotonic() - startedAt })
    if (isFruitless) lease.recordWait({ startedAt, isFruitless })
    return 'mint'
  }

  /** How much longer than planned this flight has been waiting; negative before. */
  #overdueMs(): number {
    const { medianMintMs, timeoutMs, clock } = this.#options
    if (this.#waitingSince === undefined) return -Infinity
    const waitedMs = clock.monotonic() - this.#waitingSince
    const ownBusyMs = Math.min(busyMs(clock) - this.#busyBefore, LONGEST_BUSY_MS)
    return waitedMs - ownBusyMs - LONGEST_WAIT_MS - (medianMintMs() ?? timeoutMs)
  }

  get #overtakingMs(): number {
    const { medianMintMs, timeoutMs } = this.#options
    return Math.max(MIN_OVERTAKING_MS, OVERTAKING_MEDIANS * (medianMintMs() ?? timeoutMs))
  }

  /** Whether a mint that starts later might end too late for a caller. */
  #mustMintNow(): boolean {
    return this.#options.clock.monotonic() >= this.#latestStart
  }

  /** When a mint must start to end in time for all callers; `Infinity` before the first wait. */
  get #latestStart(): number {
    const { flight, medianMintMs, timeoutMs, clock } = this.#options
    if (this.#waitingSince === undefined) return Infinity
    const medianMs = medianMintMs()
    // A refresh may have used up most of its time before the first call joins it.
    const neededAt = Math.min(flight.neededAt, clock.monotonic() + flight.deadline.remainingMs())
    // If little is known about how long a mint takes, it gets as long as the wait.
    const half = (this.#waitingSince + neededAt) / 2
    const longestMs = medianMs === undefined ? timeoutMs : MARGIN_MS
    return Math.min(neededAt - OVERTAKING_MEDIANS * (medianMs ?? 0), Math.max(neededAt - longestMs, half))
  }
}
