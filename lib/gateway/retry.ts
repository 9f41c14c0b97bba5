import pRetry, { type Options, type RetryContext } from 'p-retry'
import { backoffMs, type Random } from '../core/backoff.js'
import { callAfter, type Clock } from '../core/clock.js'
import type { Deadline } from '../core/deadline.js'
import type { Events } from '../core/events.js'
import { responseDetails, VKitError, type ResponseDetails, type VKitErrorCode } from '../core/vkit-error.js'

const FIRST_WAIT_MS = 100
const FIRST_WAIT_RATE_LIMITED_MS = 500
const LONGEST_WAIT_MS = 5_000

const CAPACITY = 20
const COST_OF_RETRY = 1
const EARNED_BY_SUCCESS = 1
/** More than a retry costs: random failures, most of which succeed when retried, never use up the budget. */
const EARNED_BY_RETRIED_SUCCESS = 2

/** Limits the traffic that the retries of one client add: random failures are retried, an outage is not. */
export class RetryBudget {
  #tokens = CAPACITY

  earn(wasRetried: boolean): void {
    const earned = wasRetried ? EARNED_BY_RETRIED_SUCCESS : EARNED_BY_SUCCESS
    this.#tokens = Math.min(CAPACITY, this.#tokens + earned)
  }

  /** Spends the cost of one retry. Returns false if the budget is too low. */
  spend(): boolean {
    if (this.#tokens < COST_OF_RETRY) return false
    this.#tokens -= COST_OF_RETRY
    return true
  }
}

export interface RetryPolicy {
  readonly budget: RetryBudget
  /** Called before each retry. */
  readonly mayRetry: () => boolean
  /** Calls back when the circuit opens, until the returned function is called. */
  readonly onCircuitOpen: (callback: () => void) => () => void
  readonly clock: Clock
  readonly events: Events
  readonly random: Random
}

/** How long one task may be retried. */
export interface RetryLimits {
  /** Returns the number of attempts after the first. Called after each failure, because it may rise. */
  readonly maxRetries: () => number
  /** Whether a 429 may be retried. */
  readonly retriesRateLimited: () => boolean
  readonly deadline: Deadline
}

/**
 * Runs `attempt` until it succeeds, fails in a way that a retry cannot fix, or the next retry does not fit the
 * limits.
 */
export async function retry<T>(attempt: () => Promise<T>, policy: RetryPolicy, limits: RetryLimits): Promise<T> {
  let first: Promise<T> | undefined = attempt()
  try {
    const result = await first
    policy.budget.earn(false)
    return result
  } catch {
    // p-retry begins with the failed attempt, because most mints succeed at once and need none of its objects.
    return retryFailed(
      () => {
        const failed = first
        first = undefined
        return failed ?? attempt()
      },
      policy,
      limits,
    )
  }
}

async function retryFailed<T>(attempt: () => Promise<T>, policy: RetryPolicy, limits: RetryLimits): Promise<T> {
  let next: PlannedRetry | undefined
  const result = await pRetry(attempt, {
    ...DEFAULTS,
    onFailedAttempt: async context => {
      next = planRetry(context, policy, limits)
      if (next) await waitForRetry(next, policy, limits.deadline)
    },
    shouldRetry: () => next !== undefined,
  })
  policy.budget.earn(true)
  return result
}

/**
 * p-retry's own defaults, except that p-retry neither waits itself nor counts the retries: its timers do not use the
 * injected clock, and its limit is fixed.
 *
 * They are explicit, because p-retry would read a missing option from `Object.prototype`, which may have any property.
 * Those of its own wait (`randomize`, `unref`) change nothing, because that wait is always 0.
 */
const DEFAULTS = {
  retries: Infinity,
  minTimeout: 0,
  maxTimeout: Infinity,
  factor: 2,
  maxRetryTime: Infinity,
  shouldConsumeRetry: () => true,
  // The deadline ends the wait and the attempt, because an AbortSignal for each mint took a twentieth of its CPU time.
  signal: undefined,
} satisfies Options

interface PlannedRetry extends ResponseDetails {
  /** The attempt that failed. */
  readonly attempt: number
  readonly delayMs: number
  readonly code: VKitErrorCode
}

/** Plans the next retry and spends its cost from the budget. Returns undefined if there must be no retry. */
function planRetry(
  { error, attemptNumber: attempt }: RetryContext,
  { budget, mayRetry, random }: RetryPolicy,
  { maxRetries, retriesRateLimited, deadline }: RetryLimits,
): PlannedRetry | undefined {
  if (!(error instanceof VKitError) || !error.retryable || error.refusedBy !== undefined) return undefined
  if (deadline.aborted || attempt > maxRetries() || !mayRetry()) return undefined
  if (error.code === 'VKIT_RATE_LIMITED' && !retriesRateLimited()) return undefined
  const delayMs = delayBeforeRetry(error, attempt, random)
  if (delayMs >= deadline.remainingMs() || !budget.spend()) return undefined
  return { attempt, delayMs, code: error.code, ...responseDetails(error) }
}

async function waitForRetry(next: PlannedRetry, policy: RetryPolicy, deadline: Deadline): Promise<void> {
  policy.events.emit({ type: 'retry', ...next })
  deadline.throwIfAborted()
  await new Promise<void>(resolve => {
    const end = (): void => {
      for (const stop of stops) stop()
      resolve()
    }
    // If the circuit opens, an immediate refusal is better than a longer wait.
    const stops = [callAfter(policy.clock, next.delayMs, end), deadline.onAbort(end), policy.onCircuitOpen(end)]
  })
  deadline.throwIfAborted()
}

/** Returns the gateway's `Retry-After` plus full jitter, because many clients may have received the same time. */
function delayBeforeRetry(error: VKitError, attempt: number, random: Random): number {
  const firstMs = error.code === 'VKIT_RATE_LIMITED' ? FIRST_WAIT_RATE_LIMITED_MS : FIRST_WAIT_MS
  return (error.retryAfterMs ?? 0) + backoffMs(attempt - 1, { firstMs, longestMs: LONGEST_WAIT_MS }, random)
}
