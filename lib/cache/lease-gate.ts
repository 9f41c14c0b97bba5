import type { Random } from '../core/backoff.js'
import type { Clock } from '../core/clock.js'
import type { Events } from '../core/events.js'
import type { MintGate } from '../gateway/mint-gate.js'
import type { Lease } from '../store/leases.js'
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
const PATIENCE_MS = 1_500
/** And so many medians, at least this long, for the mint of the process that overtook it. */
const OVERTAKING_MEDIANS = 2
const MIN_OVERTAKING_MS = 250
const FIRST_POLL_MS = 50
const LONGEST_POLL_MS = 400
/** It tries to take the lease less often than it looks for the token, because most holders succeed. */
const FIRST_RETRY_MS = 200
const LONGEST_RETRY_MS = 1_000

/**
 * Lets one process mint for all: the one that has the lease. The others poll the store for its token.
 *
 * A holder can die, hang or be slow, and others may write to the store. So no caller waits longer than a bounded time: then
 * one of the waiting processes overtakes the holder, and if that does not help either, each mints for itself. A flight
 * also mints early enough for the callers that wait for it.
 */
export class LeaseGate implements MintGate {
  readonly #options: LeaseGateOptions
  #waitingSince: number | undefined
  #pollMs = FIRST_POLL_MS
  #retryMs = FIRST_RETRY_MS
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
    if (this.#mustMintNow()) return this.#mintAnyway()
    // The lease first, because the token of the previous holder is stored before it is released.
    const [state, stored] = await Promise.all([lease.take(), this.#find()])
    if (stored) return stored
    if (state !== 'held') return 'mint'
    if (this.#overdueMs() >= 0 && (await lease.overtake()) !== 'held') return this.#mintAnyway()
    return this.#overdueMs() >= this.#overtakingMs ? this.#mintAnyway() : 'wait'
  }

  async wait(): Promise<MintedToken | undefined> {
    const { clock, events, flight, random, postpone } = this.#options
    if (this.#waitingSince === undefined) {
      this.#waitingSince = clock.monotonic()
      if (flight.isAwaited) events.emit({ type: 'lease-wait' })
    }
    if (!flight.isAwaited) return (this.#found = postpone())
    const retryAt = clock.monotonic() + this.#retryMs * (0.5 + random())
    this.#retryMs = Math.min(LONGEST_RETRY_MS, 2 * this.#retryMs)
    let found: MintedToken | undefined
    do {
      await clock.sleep(this.#pollMs * (0.5 + random()), flight.deadline.signal)
      this.#pollMs = Math.min(LONGEST_POLL_MS, 2 * this.#pollMs)
      if (!flight.deadline.aborted) found = await this.#find()
    } while (!found && !this.#mustReturn(retryAt))
    return found
  }

  /** Releases the lease. */
  end(): void {
    this.#options.lease.release()
  }

  async #find(): Promise<MintedToken | undefined> {
    const { lease, findStored } = this.#options
    const found = await findStored()
    if (!found) return undefined
    if (this.#waitingSince !== undefined) lease.recordWait({ startedAt: this.#waitingSince, isFruitless: false })
    return (this.#found = found)
  }

  #mintAnyway(): 'mint' {
    const { lease, clock, events } = this.#options
    const startedAt = this.#waitingSince ?? clock.monotonic()
    events.emit({ type: 'lease-timeout', waitedMs: clock.monotonic() - startedAt })
    lease.recordWait({ startedAt, isFruitless: true })
    return 'mint'
  }

  /** How much longer than planned this flight has been waiting; negative before. */
  #overdueMs(): number {
    const { medianMintMs, timeoutMs, clock } = this.#options
    if (this.#waitingSince === undefined) return -Infinity
    return clock.monotonic() - this.#waitingSince - PATIENCE_MS - (medianMintMs() ?? timeoutMs)
  }

  get #overtakingMs(): number {
    const { medianMintMs, timeoutMs } = this.#options
    return Math.max(MIN_OVERTAKING_MS, OVERTAKING_MEDIANS * (medianMintMs() ?? timeoutMs))
  }

  /** Whether the flight must have its turn again. */
  #mustReturn(retryAt: number): boolean {
    const { flight, clock } = this.#options
    const isDue = clock.monotonic() >= retryAt || this.#overdueMs() >= 0 || this.#mustMintNow()
    return isDue || flight.mustMint || flight.deadline.aborted
  }

  /** Whether a mint that starts later might end too late for a caller. */
  #mustMintNow(): boolean {
    const { flight, medianMintMs, timeoutMs, clock } = this.#options
    if (this.#waitingSince === undefined) return false
    const medianMs = medianMintMs()
    const [leftMs, waitedMs] = [flight.neededAt - clock.monotonic(), clock.monotonic() - this.#waitingSince]
    // If the duration of a mint is not known, it gets as long as the wait.
    return leftMs <= (medianMs === undefined ? Math.min(timeoutMs, waitedMs) : OVERTAKING_MEDIANS * medianMs)
  }
}
