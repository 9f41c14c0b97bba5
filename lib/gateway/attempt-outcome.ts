import type { Deadline } from '../core/deadline.js'
import { VKitRateLimitError, VKitTimeoutError } from '../core/errors.js'
import { VKitError, type VKitErrorCode } from '../core/vkit-error.js'
import { isForeignPage } from './response-errors.js'

/** What an attempt shows about the gateway. */
export type AttemptOutcome =
  | { readonly kind: 'success' }
  /** The gateway refused this mint, so the gateway works. */
  | { readonly kind: 'refusal' }
  | { readonly kind: 'rate-limited' }
  | { readonly kind: 'failure' }
  /** A failure: no complete response in time. */
  | { readonly kind: 'timeout' }
  /** A caller's deadline, signal or shorter timeout ended the attempt first. */
  | { readonly kind: 'cut-off'; readonly timeoutMs?: number }
  | { readonly kind: 'not-sent' }
  /** Sent, but shows nothing about the gateway: a page of a proxy or firewall, or an untrusted certificate. */
  | { readonly kind: 'unknown' }

const REFUSALS = new Set<VKitErrorCode>(['VKIT_INVALID_REQUEST', 'VKIT_UNAUTHENTICATED', 'VKIT_FORBIDDEN'])

/** Returns what a failed attempt shows about the gateway. `shortTimeoutMs` is a timeout shorter than the client's. */
export function outcomeOf(error: unknown, deadline: Deadline, shortTimeoutMs?: number): AttemptOutcome {
  if (deadline.aborted && error === deadline.reason) return { kind: 'cut-off' }
  if (!(error instanceof VKitError)) return { kind: 'unknown' }
  if (error.refusedBy !== undefined) return { kind: 'not-sent' }
  if (shortTimeoutMs !== undefined && error instanceof VKitTimeoutError) {
    return { kind: 'cut-off', timeoutMs: shortTimeoutMs }
  }
  if (isForeignPage(error)) return { kind: 'unknown' }
  if (error instanceof VKitRateLimitError) return { kind: 'rate-limited' }
  if (error.retryable) return { kind: error instanceof VKitTimeoutError ? 'timeout' : 'failure' }
  return { kind: REFUSALS.has(error.code) ? 'refusal' : 'unknown' }
}
