import pRetry, { type Options, type RetryContext } from 'p-retry'
import { backoffMs, type Random } from '../core/backoff.js'
import type { Clock } from '../core/clock.js'
import type { Deadline } from '../core/deadline.js'
import type { Events } from '../core/events.js'
import { copyError, VKitError, type VKitErrorCode } from '../core/vkit-error.js'

const FIRST_WAIT_MS = 100
const FIRST_WAIT_RATE_LIMITED_MS = 500
const LONGEST_WAIT_MS = 5_000

const CAPACITY = 10
const COST_OF_RETRY = 1
const EARNED_BY_SUCCESS = 0.1

/** Bounds what retries add to the traffic of one client: in a long outage nothing, else at most a tenth. */
export class RetryBudget {
  #tokens = CAPACITY

  earn(): void {
    this.#tokens = Math.min(CAPACITY, this.#tokens + EARNED_BY_SUCCESS)
  }

  /** Takes the price of one retry, if there is enough left to pay it. */
  spend(): boolean {
    if (this.#tokens < COST_OF_RETRY) return false
    this.#tokens -= COST_OF_RETRY
    return true
  }
}

export interface RetryPolicy {
  /** Attempts after the first; 0 means exactly one attempt. */
  readonly maxRetries: number
  readonly budget: RetryBudget
  readonly clock: Clock
  readonly events: Events
  readonly random: Random
}

/**
 * Runs `attempt` until it succeeds, fails in a way that a retry cannot fix, or the next retry does not fit the deadline.
 *
 * The error that it throws says in `attempts` how many there were.
 */
export async function retry<T>(attempt: () => Promise<T>, policy: RetryPolicy, deadline: Deadline): Promise<T> {
  let attempts = 0
  let next: PlannedRetry | undefined
  try {
    const result = await pRetry(
      attemptNumber => {
        attempts = attemptNumber
        return attempt()
      },
      {
        ...DEFAULTS,
        retries: policy.maxRetries,
        onFailedAttempt: async context => {
          next = planRetry(context, policy, deadline)
          if (next) await waitForRetry(next, policy, deadline)
        },
        shouldRetry: () => next !== undefined,
      },
    )
    policy.budget.earn()
    return result
  } catch (error) {
    throw copyError(error, { attempts })
  }
}

/**
 * p-retry's own defaults, except that it does not wait by itself: its timers are not those of the injected clock. They are
 * given because p-retry would read what is missing from `Object.prototype`, where anything may stand.
 */
const DEFAULTS = {
  minTimeout: 0,
  maxTimeout: Infinity,
  factor: 2,
  randomize: false,
  maxRetryTime: Infinity,
  shouldConsumeRetry: () => true,
  // The deadline ends the wait and the attempt; an AbortSignal for each mint was a twentieth of its CPU time.
  signal: undefined,
  unref: false,
} satisfies Options

interface PlannedRetry {
  /** The attempt that failed. */
  readonly attempt: number
  readonly delayMs: number
  readonly code: VKitErrorCode
}

/** The next retry, paid for from the budget; undefined where there must be none. */
function planRetry(
  { error, attemptNumber: attempt, retriesLeft }: RetryContext,
  { budget, random }: RetryPolicy,
  deadline: Deadline,
): PlannedRetry | undefined {
  if (!(error instanceof VKitError) || !error.retryable || deadline.aborted || retriesLeft === 0) return undefined
  const delayMs = delayBeforeRetry(error, attempt, random)
  return delayMs < deadline.remainingMs() && budget.spend() ? { attempt, delayMs, code: error.code } : undefined
}

async function waitForRetry(next: PlannedRetry, { clock, events }: RetryPolicy, deadline: Deadline): Promise<void> {
  events.emit({ type: 'retry', ...next })
  await clock.sleep(next.delayMs, deadline.signal)
  deadline.throwIfAborted()
}

/** Full jitter, on top of what the gateway asked for: many clients were given the same moment. */
function delayBeforeRetry(error: VKitError, attempt: number, random: Random): number {
  const firstMs = error.code === 'VKIT_RATE_LIMITED' ? FIRST_WAIT_RATE_LIMITED_MS : FIRST_WAIT_MS
  return (error.retryAfterMs ?? 0) + backoffMs(attempt - 1, { firstMs, longestMs: LONGEST_WAIT_MS }, random)
}
