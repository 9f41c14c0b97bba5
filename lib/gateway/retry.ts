import pRetry, { type RetryContext } from 'p-retry'
import { backoffMs, type Random } from '../core/backoff.js'
import type { Clock } from '../core/clock.js'
import type { Deadline } from '../core/deadline.js'
import type { Events } from '../core/events.js'
import { copyError, VKitError } from '../core/vkit-error.js'
import type { RetryBudget } from './retry-budget.js'

const FIRST_WAIT_MS = 100
const FIRST_WAIT_RATE_LIMITED_MS = 500
const LONGEST_WAIT_MS = 5_000

export interface RetryPolicy {
  /** Attempts after the first; 0 means exactly one attempt. */
  readonly maxRetries: number
  readonly budget: RetryBudget
  readonly clock: Clock
  readonly events: Events
  readonly random: Random
}

/**
 * Runs `attempt` until it succeeds, fails in a way that no retry would mend, or one more would not fit the deadline.
 *
 * What it throws says in `attempts` how many there were.
 */
export async function retry<T>(attempt: () => Promise<T>, policy: RetryPolicy, deadline: Deadline): Promise<T> {
  let attempts = 0
  try {
    const result = await pRetry(
      attemptNumber => {
        attempts = attemptNumber
        return attempt()
      },
      {
        retries: policy.maxRetries,
        shouldRetry: failed => waitForRetry(failed, policy, deadline),
        // p-retry waits by real timers; ours are injected, and know of Retry-After. All options given: it fills in slowly.
        minTimeout: 0,
        maxTimeout: 0,
        factor: 1,
        randomize: false,
        maxRetryTime: Infinity,
        onFailedAttempt: () => undefined,
        shouldConsumeRetry: () => true,
        signal: undefined,
        unref: false,
      },
    )
    policy.budget.earn()
    return result
  } catch (error) {
    throw copyError(error, { attempts })
  }
}

async function waitForRetry(
  { error, attemptNumber: attempt }: RetryContext,
  { budget, clock, events, random }: RetryPolicy,
  deadline: Deadline,
): Promise<boolean> {
  if (!(error instanceof VKitError) || !error.retryable || deadline.aborted) return false
  const delayMs = delayBeforeRetry(error, attempt, random)
  if (delayMs >= deadline.remainingMs() || !budget.spend()) return false
  events.emit({ type: 'retry', attempt, delayMs, code: error.code })
  await clock.sleep(delayMs, deadline.signal)
  deadline.throwIfAborted()
  return true
}

/** Full jitter, on top of what the gateway asked for: many clients were given the same moment. */
function delayBeforeRetry(error: VKitError, attempt: number, random: Random): number {
  const firstMs = error.code === 'VKIT_RATE_LIMITED' ? FIRST_WAIT_RATE_LIMITED_MS : FIRST_WAIT_MS
  return (error.retryAfterMs ?? 0) + backoffMs(attempt - 1, { firstMs, longestMs: LONGEST_WAIT_MS }, random)
}
