import { backoffMs, type Backoff, type Random } from '../core/backoff.js'
import type { Clock } from '../core/clock.js'
import { VKitServerError } from '../core/errors.js'
import type { Events } from '../core/events.js'
import { FailureStreak, type FailedAttempt } from './failure-streak.js'

const FIRST_PROBE_MS = 1_000
const LONGEST_PROBE_MS = 5_000
const PROBE_WAIT: Backoff = { firstMs: FIRST_PROBE_MS, longestMs: LONGEST_PROBE_MS }
/** A round has one probe per this many refused calls: if the own mints of many users fail, one probe shows little. */
const REFUSED_PER_PROBE = 10
const MAX_PROBES = 8

/** `closed`: mints are sent. `open`: mints fail immediately. `half-open`: the next mint is a probe. */
export type CircuitState = 'closed' | 'open' | 'half-open'

export interface CircuitBreakerOptions {
  readonly clock: Clock
  readonly events: Events
  readonly random: Random
}

type State =
  | { readonly kind: 'closed' }
  | {
      readonly kind: 'open'
      /** When the next round of probes begins. */
      roundAt: number
      rounds: number
      /** The probes left in this round, and the keys that had one. */
      probes: number
      readonly probed: Set<string>
      /** Calls refused since the round began. */
      refused: number
    }

/** Stops sending requests to a gateway that fails for everyone, and detects with a few probes when it recovers. */
export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions
  readonly #streak = new FailureStreak()
  #state: State = { kind: 'closed' }

  constructor(options: CircuitBreakerOptions) {
    this.#options = options
  }

  get state(): CircuitState {
    const state = this.#state
    if (state.kind === 'closed') return 'closed'
    return state.probes > 0 || this.#msUntil(state.roundAt) <= 0 ? 'half-open' : 'open'
  }

  get isOpen(): boolean {
    return this.#state.kind === 'open'
  }

  /** Returns the error that refuses an attempt for this key now, or undefined. It does not use up a probe. */
  refusalOf(key: string): VKitServerError | undefined {
    const state = this.#state
    if (state.kind === 'closed' || this.#msUntil(state.roundAt) <= 0) return undefined
    if (state.probes > 0 && !state.probed.has(key)) return undefined
    state.refused++
    return this.refusal()
  }

  /** Admits an attempt that `refusalOf` does not refuse. Returns whether the attempt is a probe. */
  admit(key: string): boolean {
    const state = this.#state
    if (state.kind === 'closed') return false
    if (this.#msUntil(state.roundAt) <= 0) {
      state.probes = Math.max(1, Math.min(MAX_PROBES, Math.floor(state.refused / REFUSED_PER_PROBE)))
      state.probed.clear()
      state.refused = 0
      // The next round is scheduled now, because a probe may never settle.
      state.roundAt = this.#nextRoundAt(state.rounds++)
    }
    state.probes--
    state.probed.add(key)
    return true
  }

  /** Releases the slot of a probe that showed nothing, for another probe. */
  releaseProbe(key: string): void {
    const state = this.#state
    // A probe of an earlier round, or of an earlier outage, has no slot to release.
    if (state.kind === 'open' && state.probed.delete(key)) state.probes++
  }

  recordSuccess(): void {
    this.#streak.recordSuccess(this.#options.clock.monotonic())
    if (this.#state.kind === 'closed') return
    this.#state = { kind: 'closed' }
    this.#options.events.emit({ type: 'circuit-close' })
  }

  /** Records a failure. Returns whether it opened the circuit. */
  recordFailure(attempt: FailedAttempt): boolean {
    const tripped = this.#streak.recordFailure(attempt, this.#options.clock.monotonic())
    if (!tripped || this.#state.kind === 'open') return false
    const roundAt = this.#nextRoundAt(0)
    this.#state = { kind: 'open', roundAt, rounds: 1, probes: 0, probed: new Set(), refused: 0 }
    this.#options.events.emit({ type: 'circuit-open', retryAfterMs: Math.ceil(this.#msUntil(roundAt)) })
    return true
  }

  /** Creates the error for a call that the open circuit refuses. */
  refusal(): VKitServerError {
    const waitMs = this.#state.kind === 'open' ? this.#msUntil(this.#state.roundAt) : 0
    return new VKitServerError(
      'The gateway has failed repeatedly: the circuit is open. Try again after retryAfterMs.',
      {
        retryAfterMs: Math.max(0, Math.ceil(waitMs)),
        refusedBy: 'circuit',
      },
    )
  }

  #nextRoundAt(rounds: number): number {
    const { clock, random } = this.#options
    return clock.monotonic() + backoffMs(rounds, PROBE_WAIT, random)
  }

  #msUntil(time: number): number {
    return time - this.#options.clock.monotonic()
  }
}
