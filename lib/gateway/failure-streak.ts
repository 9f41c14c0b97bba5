/** This many different keys that failed, without a success between them, are more than users whose own mints fail. */
const KEYS_TO_TRIP = 40
/** With little traffic this much time without a success takes their place. */
const QUIET_MS = 5_000
const QUIET_ATTEMPTS = 5
const QUIET_KEYS = 2

/** One attempt that failed. */
export interface FailedAttempt {
  /** Whose mint it was: identity and scopes. */
  readonly key: string
  readonly sentAt: number
}

interface Streak {
  readonly since: number
  readonly keys: Set<string>
  attempts: number
}

/**
 * Decides when failures concern everyone, and not only the users whose mints failed.
 *
 * One success ends the streak. All moments are of the monotonic clock.
 */
export class FailureStreak {
  #streak: Streak | undefined
  #succeededAt = -Infinity

  recordSuccess(now: number): void {
    this.#streak = undefined
    this.#succeededAt = now
  }

  /** Returns whether the failures so far concern everyone. */
  recordFailure({ key, sentAt }: FailedAttempt, now: number): boolean {
    const streak = (this.#streak ??= { since: Math.max(sentAt, this.#succeededAt), keys: new Set(), attempts: 0 })
    streak.attempts++
    if (streak.keys.size < KEYS_TO_TRIP) streak.keys.add(key)
    if (streak.keys.size >= KEYS_TO_TRIP) return true
    return streak.keys.size >= QUIET_KEYS && streak.attempts >= QUIET_ATTEMPTS && now - streak.since >= QUIET_MS
  }
}
