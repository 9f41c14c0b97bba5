/** If this many different keys fail without a success between them, the failures affect everyone. */
const KEYS_TO_TRIP = 40
/** With little traffic, this much time without a success replaces that number of keys. */
const LOW_TRAFFIC_MS = 5_000
const LOW_TRAFFIC_ATTEMPTS = 5
const LOW_TRAFFIC_KEYS = 2

/** A failed attempt. */
export interface FailedAttempt {
  /** The identity and scopes of its mint. */
  readonly key: string
  readonly sentAt: number
}

interface Streak {
  readonly since: number
  readonly keys: Set<string>
  attempts: number
}

/**
 * Decides when failures affect everyone, and not only the users whose mints failed.
 *
 * One success ends the streak. All times are of the monotonic clock.
 */
export class FailureStreak {
  #streak: Streak | undefined
  #succeededAt = -Infinity

  recordSuccess(now: number): void {
    this.#streak = undefined
    this.#succeededAt = now
  }

  /** Records a failure. Returns whether the failures so far affect everyone. */
  recordFailure({ key, sentAt }: FailedAttempt, now: number): boolean {
    const streak = (this.#streak ??= { since: Math.max(sentAt, this.#succeededAt), keys: new Set(), attempts: 0 })
    streak.attempts++
    if (streak.keys.size < KEYS_TO_TRIP) streak.keys.add(key)
    if (streak.keys.size >= KEYS_TO_TRIP) return true
    return (
      streak.keys.size >= LOW_TRAFFIC_KEYS &&
      streak.attempts >= LOW_TRAFFIC_ATTEMPTS &&
      now - streak.since >= LOW_TRAFFIC_MS
    )
  }
}
