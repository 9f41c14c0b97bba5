import { backoffMs, type Backoff, type Random } from '../core/backoff.js'
import type { Clock } from '../core/clock.js'
import { VKitServerError } from '../core/errors.js'
import type { Events } from '../core/events.js'
import { FailureStreak, type FailedAttempt } from './failure-streak.js'

const FIRST_PROBE_MS = 1_000
const LONGEST_PROBE_MS = 5_000
const PROBE_WAIT: Backoff = { firstMs: FIRST_PROBE_MS, longestMs: LONGEST_PROBE_MS }
/** Of many users whose own mints fail a single probe says little: a round has one for so many calls refused before it. */
const REFUSED_PER_PROBE = 10
const MAX_PROBES = 8

/** `closed`: mints go through. `open`: they fail at once. `half-open`: the next one is a probe. */
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
      /** Probes that this round has left, and the keys that had one. */
      probes: number
      readonly probed: Set<string>
      /** Calls refused since the round began. */
      refused: number
    }

/** Stops asking a gateway that fails for everyone, and finds out with a few probes when it responds again. */
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

  /** What an attempt for this key would be refused with now, or undefined. It uses up no probe. */
  refusalOf(key: string): VKitServerError | undefined {
    const state = this.#state
    if (state.kind === 'closed' || this.#msUntil(state.roundAt) <= 0) return undefined
    if (state.probes > 0 && !state.probed.has(key)) return undefined
    state.refused++
    return this.refusal()
  }

  /** Lets an attempt for which there is no refusal through; returns whether it is a probe. */
  admit(key: string): boolean {
    const state = this.#state
    if (state.kind === 'closed') return false
    if (this.#msUntil(state.roundAt) <= 0) {
      state.probes = Math.max(1, Math.min(MAX_PROBES, Math.floor(state.refused / REFUSED_PER_PROBE)))
      state.probed.clear()
      state.refused = 0
      // Now, and not when a probe has failed: one that never settles must not be the last.
      state.roundAt = this.#nextRoundAt(state.rounds++)
    }
    state.probes--
    state.probed.add(key)
    return true
  }

  /** A probe found out nothing: another may have its place. */
  releaseProbe(key: string): void {
    const state = this.#state
    // A probe of an earlier round, or an earlier outage, has no place to give back.
    if (state.kind === 'open' && state.probed.delete(key)) state.probes++
  }

  recordSuccess(): void {
    this.#streak.recordSuccess(this.#options.clock.monotonic())
    if (this.#state.kind === 'closed') return
    this.#state = { kind: 'closed' }
    this.#options.events.emit({ type: 'circuit-close' })
  }

  /** Returns whether it opened the circuit. */
  recordFailure(attempt: FailedAttempt): boolean {
    const tripped = this.#streak.recordFailure(attempt, this.#options.clock.monotonic())
    if (!tripped || this.#state.kind === 'open') return false
    const roundAt = this.#nextRoundAt(0)
    this.#state = { kind: 'open', roundAt, rounds: 1, probes: 0, probed: new Set(), refused: 0 }
    this.#options.events.emit({ type: 'circuit-open', retryAfterMs: Math.ceil(this.#msUntil(roundAt)) })
    return true
  }

  /** The error of a call that an open circuit refuses. */
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

  #msUntil(moment: number): number {
    return moment - this.#options.clock.monotonic()
  }
}
