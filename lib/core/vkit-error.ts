import { readErrorJson, type RefusedBy, type VKitErrorCode, type VKitErrorJSON } from './error-json.js'
import { ownProperties } from './own-properties.js'
import { sanitizeCause, type SanitizedCause } from './sanitize-cause.js'

export type { RefusedBy, VKitErrorCode, VKitErrorJSON } from './error-json.js'

/** The details of an error. An error itself has this shape, so it can be copied. */
export interface VKitErrorDetails {
  /** The code of the error. Needed only if its class has more than one. */
  readonly code?: VKitErrorCode
  /** Default: that of the class. */
  readonly retryable?: boolean
  /** Default 0. */
  readonly attempts?: number
  /** The HTTP status of the response. */
  readonly status?: number | undefined
  /** The gateway's ID of the failed request. */
  readonly requestId?: string | undefined
  /** The milliseconds to wait before a retry. */
  readonly retryAfterMs?: number | undefined
  /** Why the client refused to send a request, if it did. */
  readonly refusedBy?: RefusedBy | undefined
  /** Only from `sanitizeCause`, because a foreign error may contain the secret. */
  readonly cause?: SanitizedCause | undefined
}

type VKitErrorClass = new (message: string, details?: VKitErrorDetails) => VKitError

const classes = new Map<string, VKitErrorClass>()

/** Sets the class of each code, for `VKitError.from`, which cannot import the classes: they import this file. */
export function registerClasses(classOfCode: Readonly<Record<VKitErrorCode, VKitErrorClass>>): void {
  for (const [code, errorClass] of Object.entries(classOfCode)) classes.set(code, errorClass)
}

const brandOf = (name: string): symbol => Symbol.for(`@video-io/videokit-nodejs/${name}`)

/**
 * Makes `instanceof` work between copies of this package: the `import` copy, the `require` copy, a bundled copy.
 *
 * Subclasses inherit `Symbol.hasInstance`, so a customer's subclass gets the default behavior.
 */
export function brand(errorClass: { readonly prototype: VKitError }, name: string): void {
  const symbol = brandOf(name)
  Object.defineProperty(errorClass.prototype, symbol, { value: true })
  // A bundler may rename the class, and the first line of the stack contains the name of the prototype.
  Object.defineProperty(errorClass.prototype, 'name', { value: name, configurable: true, writable: true })
  Object.defineProperty(errorClass, Symbol.hasInstance, {
    value(this: unknown, value: unknown): boolean {
      if (this !== errorClass) return Function.prototype[Symbol.hasInstance].call(this, value)
      return typeof value === 'object' && value !== null && symbol in value
    },
  })
}

/**
 * The base class of all errors of this SDK. No property contains the app secret or a session token.
 *
 * If `retryable` is true, the same call may succeed later, but not before `retryAfterMs` (milliseconds), if it is set.
 * The client has already retried temporary failures; `attempts` is the number of all attempts.
 */
export abstract class VKitError extends Error {
  /** The name of the class, also in a minified bundle. */
  declare readonly name: string
  /** The code of the error. */
  readonly code: VKitErrorCode
  /** Whether the same call may succeed later. */
  readonly retryable: boolean
  /** The number of attempts for this call; 0 if the client sent no request. */
  readonly attempts: number
  /** The HTTP status of the response. */
  declare readonly status?: number
  /** The gateway's ID of the failed request, for its support. */
  declare readonly requestId?: string
  /** The milliseconds to wait before a retry, if known. */
  declare readonly retryAfterMs?: number
  /** Why the client refused to send a request, if it did. */
  declare readonly refusedBy?: RefusedBy
  /** A new error with only the name and code of the underlying error. */
  declare readonly cause?: SanitizedCause

  static {
    brand(this, 'VKitError')
    // The automocks of Jest and Vitest make every function return undefined, but keep what has the tag of a primitive.
    Object.defineProperty(Reflect.get(this, 'is'), Symbol.toStringTag, { value: 'Boolean' })
  }

  /** For subclasses. To test your error handling, create an error of a subclass: `new VKitServerError('down')`. */
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

  /** Returns whether `value` is an error of this SDK, from any copy of the package. */
  static is(value: unknown): value is VKitError {
    // Vitest's automock of an error has our brand, but no code.
    return value instanceof VKitError && typeof value.code === 'string'
  }

  /**
   * Returns the error again of which `value` is the JSON form: of the class of its `code`, with all its properties.
   *
   * Send `error.toJSON()` to another thread, process or job, because a copy of the error itself loses its class and its
   * code. An error of any copy of this package is accepted too. `stack` is that of this call, and `cause` is missing.
   *
   * @throws VKitArgumentError if `value` is anything else, because a guessed `retryable` could make the caller retry
   * what can never succeed
   */
  static from(value: unknown): VKitError {
    const { message, ...details } = readErrorJson(value, classes, problem =>
      createError(`VKitError.from needs the result of error.toJSON(): ${problem}.`, { code: 'VKIT_INVALID_ARGUMENT' }),
    )
    return createError(message, details)
  }

  /** Returns the JSON form, without `stack` and `cause`. */
  toJSON(): VKitErrorJSON {
    const { name, message } = this
    const { code, retryable, attempts, status, requestId, retryAfterMs, refusedBy } = ownProperties<VKitError>(this)
    return {
      name,
      code,
      message,
      retryable,
      attempts,
      ...responseDetails({ status, requestId }),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      ...(refusedBy !== undefined && { refusedBy }),
    }
  }
}

function createError(message: string, details: VKitErrorDetails & { readonly code: VKitErrorCode }): VKitError {
  const errorClass = classes.get(details.code)
  if (!errorClass) throw new Error('The classes of the errors are not loaded.')
  return new errorClass(message, details)
}

/** The response that an error or an event is about. */
export interface ResponseDetails {
  readonly status?: number
  readonly requestId?: string
}

/** Returns the details that are known: a missing one has no property, so that it is not in logs either. */
export function responseDetails({
  status,
  requestId,
}: Pick<VKitErrorDetails, 'status' | 'requestId'>): ResponseDetails {
  return { ...(status !== undefined && { status }), ...(requestId !== undefined && { requestId }) }
}

/** Copies an error for one of several callers that share a failure, so that none sees the changes of another. */
export function copyError<T>(error: T, changes: VKitErrorDetails = {}): T {
  if (!(error instanceof VKitError)) return error
  const { code, retryable, attempts, status, requestId, retryAfterMs, refusedBy, cause } = error
  // Not of `error.constructor`: if Vitest spies on the package, that makes no errors.
  return createError(error.message, {
    code,
    retryable,
    attempts,
    status,
    requestId,
    retryAfterMs,
    refusedBy,
    cause: sanitizeCause(cause),
    ...changes,
  }) as T & VKitError
}
