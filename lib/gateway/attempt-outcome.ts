import type { Deadline } from '../core/deadline.js'
import { VKitRateLimitError, VKitTimeoutError } from '../core/errors.js'
import { VKitError, type VKitErrorCode } from '../core/vkit-error.js'
import { isForeignPage } from './response-errors.js'

/** What an attempt says of the gateway. */
export type AttemptOutcome =
  | { readonly kind: 'success' }
  /** The gateway refused this mint: it works. */
  | { readonly kind: 'refusal' }
  | { readonly kind: 'rate-limited' }
  | { readonly kind: 'failure'; readonly isTimeout: boolean }
  /** The deadline or the signal of a caller ended it first. */
  | { readonly kind: 'cut-off' }
  | { readonly kind: 'not-sent' }
  /** Sent, and it says nothing: a page that is not the gateway's, a certificate that cannot be trusted. */
  | { readonly kind: 'unknown' }

const REFUSALS = new Set<VKitErrorCode>(['VKIT_INVALID_REQUEST', 'VKIT_UNAUTHENTICATED', 'VKIT_FORBIDDEN'])

/** What an attempt that failed says of the gateway. */
export function outcomeOf(error: unknown, deadline: Deadline): AttemptOutcome {
  if (deadline.aborted && error === deadline.reason) return { kind: 'cut-off' }
  if (!(error instanceof VKitError)) return { kind: 'unknown' }
  if (error.refusedBy !== undefined) return { kind: 'not-sent' }
  if (isForeignPage(error)) return { kind: 'unknown' }
  if (error instanceof VKitRateLimitError) return { kind: 'rate-limited' }
  if (error.retryable) return { kind: 'failure', isTimeout: error instanceof VKitTimeoutError }
  return { kind: REFUSALS.has(error.code) ? 'refusal' : 'unknown' }
}
