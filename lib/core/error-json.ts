import { describeType } from './describe-type.js'
import { readOwn } from './own-properties.js'

/** The `code` of a `VKitError`. It changes only in a major version. */
export type VKitErrorCode =
  | 'VKIT_CONFIG'
  | 'VKIT_INVALID_ARGUMENT'
  | 'VKIT_INVALID_REQUEST'
  | 'VKIT_UNAUTHENTICATED'
  | 'VKIT_FORBIDDEN'
  | 'VKIT_RATE_LIMITED'
  | 'VKIT_UNAVAILABLE'
  | 'VKIT_CONNECTION'
  | 'VKIT_TLS'
  | 'VKIT_TIMEOUT'
  | 'VKIT_INVALID_RESPONSE'
  | 'VKIT_IDENTITY_MISMATCH'
  | 'VKIT_REDIRECT'
  | 'VKIT_CLOSED'

/**
 * Why the client refused to send a request. `key`: the last mint for this identity and these scopes failed, and its
 * backoff or `Retry-After` has not ended. `secret`: the gateway does not accept the app secret. `circuit`: the gateway
 * fails for everyone. `overload`: the queue is too long.
 */
export type RefusedBy = 'key' | 'secret' | 'circuit' | 'overload'

/** The JSON form of a `VKitError`. */
export interface VKitErrorJSON {
  /** The class of the error. */
  readonly name: string
  /** The code of the error. */
  readonly code: VKitErrorCode
  /** A human-readable text; it can change in any version. */
  readonly message: string
  /** Whether the same call may succeed later. */
  readonly retryable: boolean
  /** The number of attempts for this call; 0 if the client sent no request. */
  readonly attempts: number
  /** The HTTP status of the response. */
  readonly status?: number
  /** The gateway's ID of the failed request. */
  readonly requestId?: string
  /** The milliseconds to wait before a retry. */
  readonly retryAfterMs?: number
  /** Why the client refused to send a request, if it did. */
  readonly refusedBy?: RefusedBy
}

/** The members that `VKitError.from` reads. `name` is not one, because the code determines the class. */
type ErrorMembers = Omit<VKitErrorJSON, 'name'>

type Check = readonly [isValid: (value: unknown) => boolean, expected: string]

const text: Check = [value => typeof value === 'string', 'a string']
const amount: Check = [value => typeof value === 'number' && value >= 0 && value < Infinity, 'a number, 0 or more']
const flag: Check = [value => typeof value === 'boolean', 'true or false']
const optional = ([isValid, expected]: Check): Check => [value => value === undefined || isValid(value), expected]

const CHECKS: Record<Exclude<keyof ErrorMembers, 'code'>, Check> = {
  message: text,
  retryable: flag,
  attempts: amount,
  status: optional(amount),
  requestId: optional(text),
  retryAfterMs: optional(amount),
  refusedBy: optional(text),
}
const NAMES = ['code', ...Object.keys(CHECKS)]
const REASONS: readonly unknown[] = ['key', 'secret', 'circuit', 'overload'] satisfies RefusedBy[]

/**
 * Reads the JSON form of an error, which may come from another version of this package, or from anywhere.
 *
 * @throws what `makeError` returns, if the code is not `known`, or if a member is missing or has the wrong type
 */
export function readErrorJson(
  value: unknown,
  known: { has(code: string): boolean },
  makeError: (problem: string) => Error,
): ErrorMembers {
  const members = readMembers(value, makeError)
  const { code, refusedBy } = members
  if (typeof code !== 'string') throw makeError('the value has no code, as if the error itself had been copied')
  if (!known.has(code)) {
    // Other text may be anything, such as the secret.
    const shown = /^VKIT_[A-Z_]{1,32}$/.test(code) ? `code ${code}` : 'code'
    throw makeError(`its ${shown} is unknown; it may come from a newer version of this package`)
  }
  for (const [name, [isValid, expected]] of Object.entries(CHECKS)) {
    if (!isValid(members[name])) throw makeError(`${name} must be ${expected}`)
  }
  // A newer version may have more reasons, and the rest of the error is still right.
  if (!REASONS.includes(refusedBy)) delete members['refusedBy']
  return members as unknown as ErrorMembers
}

/** Reads each own member once, because a getter may return another value, or throw. */
function readMembers(value: unknown, makeError: (problem: string) => Error): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw makeError(`the value is ${describeType(value)}`)
  try {
    return Object.fromEntries(NAMES.map(name => [name, readOwn(value, name)]))
  } catch {
    throw makeError('a getter or a proxy throws')
  }
}
