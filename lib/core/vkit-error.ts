import { ownProperties } from './own-properties.js'
import { sanitizeCause, type SanitizedCause } from './sanitize-cause.js'

/** What a `VKitError` says in `code`: stable, documented, safe to `switch` over. */
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
 * Who refused a call without sending a request: `key`, the last mint for this identity and these scopes failed, and its
 * backoff or `Retry-After` is not over; `secret`, the gateway does not accept the app secret; `circuit`, the gateway failed for
 * everyone; `overload`, too many mints were waiting.
 */
export type RefusedBy = 'key' | 'secret' | 'circuit' | 'overload'

/** What is known of a failure beside its message. An error fits it, which is how errors are copied. */
export interface VKitErrorDetails {
  /** Which of its class's codes the error carries; a class with one code needs none. */
  readonly code?: VKitErrorCode
  /** Default: what the class says of itself. */
  readonly retryable?: boolean
  /** Default 0. */
  readonly attempts?: number
  /** HTTP status of the gateway's answer. */
  readonly status?: number | undefined
  /** The gateway's own id of the failed request. */
  readonly requestId?: string | undefined
  /** Milliseconds before which trying again is useless. */
  readonly retryAfterMs?: number | undefined
  /** Set where no request was sent because the client itself refused. */
  readonly refusedBy?: RefusedBy | undefined
  /** Kept only if it comes from `sanitizeCause`: a foreign error may carry the secret. */
  readonly cause?: SanitizedCause | undefined
}

/** What `JSON.stringify` shows of a `VKitError`. */
export interface VKitErrorJSON {
  /** Its class. */
  readonly name: string
  /** What it is, to `switch` over. */
  readonly code: VKitErrorCode
  /** For people; may change in any version. */
  readonly message: string
  /** Whether the same call may succeed later. */
  readonly retryable: boolean
  /** Requests sent to the gateway for this call. */
  readonly attempts: number
  /** HTTP status of the gateway's answer. */
  readonly status?: number
  /** The gateway's own id of the failed request. */
  readonly requestId?: string
  /** Milliseconds before which trying again is useless. */
  readonly retryAfterMs?: number
  /** Set where no request was sent because the client itself refused. */
  readonly refusedBy?: RefusedBy
}

const brandOf = (name: string): symbol => Symbol.for(`@video-io/videokit-nodejs/${name}`)

/**
 * Makes `instanceof` hold between copies of this package: the `import` one, the `require` one, a bundled one.
 *
 * `Symbol.hasInstance` is inherited, so it speaks for `errorClass` alone and leaves a customer's subclass to the default.
 */
export function brand(errorClass: { readonly prototype: VKitError }, name: string): void {
  const symbol = brandOf(name)
  Object.defineProperty(errorClass.prototype, symbol, { value: true })
  // On the prototype and spelt out: a bundler may rename the class, and the stack's first line is made from it.
  Object.defineProperty(errorClass.prototype, 'name', { value: name, configurable: true, writable: true })
  Object.defineProperty(errorClass, Symbol.hasInstance, {
    value(this: unknown, value: unknown): boolean {
      if (this !== errorClass) return Function.prototype[Symbol.hasInstance].call(this, value)
      return typeof value === 'object' && value !== null && symbol in value
    },
  })
}

/**
 * The base of every error that this SDK makes. None carries the app secret or a session token, in any property.
 *
 * `retryable` says whether the same call may succeed later; the SDK has by then done its own retries, `attempts`
 * requests in all. `retryAfterMs` (milliseconds) is set when a moment is known before which trying again is useless.
 */
export abstract class VKitError extends Error {
  /** Its class, the same in a minified bundle. */
  declare readonly name: string
  /** What it is, to `switch` over. */
  readonly code: VKitErrorCode
  /** Whether the same call may succeed later; the SDK has done its own retries by then. */
  readonly retryable: boolean
  /** Requests sent to the gateway for this call. */
  readonly attempts: number
  /** HTTP status of the gateway's answer. */
  declare readonly status?: number
  /** The gateway's own id of the failed request, for its support. */
  declare readonly requestId?: string
  /** Milliseconds before which trying again is useless, where that is known. */
  declare readonly retryAfterMs?: number
  /** Set where no request was sent because the client itself refused. */
  declare readonly refusedBy?: RefusedBy
  /** A fresh error with the name and code of what happened below, and nothing else of it. */
  declare readonly cause?: SanitizedCause

  static {
    brand(this, 'VKitError')
  }

  /** For the classes below. Make one of those in tests of your own error handling: `new VKitServerError('down')`. */
  protected constructor(message: string, details: VKitErrorDetails & { code: VKitErrorCode; retryable: boolean }) {
    super(message)
    const own = ownProperties(details)
    this.code = own.code
    this.retryable = own.retryable
    this.attempts = own.attempts ?? 0
    if (own.status !== undefined) this.status = own.status
    if (own.requestId !== undefined) this.requestId = own.requestId
    if (own.retryAfterMs !== undefined) this.retryAfterMs = own.retryAfterMs
    if (own.refusedBy !== undefined) this.refusedBy = own.refusedBy
    if (own.cause !== undefined) {
      Object.defineProperty(this, 'cause', { value: own.cause, configurable: true, writable: true })
    }
  }

  /** Whether `value` is an error of this SDK, whichever copy of the package made it. */
  static is(value: unknown): value is VKitError {
    return value instanceof VKitError
  }

  /** What `JSON.stringify` and most loggers show: no stack, no cause. */
  toJSON(): VKitErrorJSON {
    const { name, code, message, retryable, attempts, status, requestId, retryAfterMs, refusedBy } = this
    return {
      name,
      code,
      message,
      retryable,
      attempts,
      ...(status !== undefined && { status }),
      ...(requestId !== undefined && { requestId }),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      ...(refusedBy !== undefined && { refusedBy }),
    }
  }
}

/** An own error object for one of several callers who share a failure, so that none sees what another does to it. */
export function copyError<T>(error: T, changes: VKitErrorDetails = {}): T {
  if (!(error instanceof VKitError)) return error
  const errorClass = error.constructor as unknown as new (message: string, details: VKitErrorDetails) => T & VKitError
  const { code, retryable, attempts, status, requestId, retryAfterMs, refusedBy, cause } = error
  return new errorClass(error.message, {
    code,
    retryable,
    attempts,
    status,
    requestId,
    retryAfterMs,
    refusedBy,
    cause: sanitizeCause(cause),
    ...changes,
  })
}
