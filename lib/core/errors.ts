import { ownMembers } from './own-properties.js'

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
  /** Kept only if it comes from `sanitizeCause`: an error of somebody else's may carry the secret. */
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
}

const brandOf = (name: string): symbol => Symbol.for(`@video-io/videokit-nodejs/${name}`)

/**
 * Makes `instanceof` hold between copies of this package: the `import` one, the `require` one, a bundled one.
 *
 * `Symbol.hasInstance` is inherited, so it speaks for `errorClass` alone and leaves a customer's subclass to the default.
 */
function brand(errorClass: { readonly prototype: VKitError }, name: string): void {
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
  /** A fresh error with the name and code of what happened below, and nothing else of it. */
  declare readonly cause?: SanitizedCause

  static {
    brand(this, 'VKitError')
  }

  /** For the classes below. Make one of those in tests of your own error handling: `new VKitServerError('down')`. */
  protected constructor(message: string, details: VKitErrorDetails & { code: VKitErrorCode; retryable: boolean }) {
    super(message)
    const own = ownMembers(details)
    this.code = own.code
    this.retryable = own.retryable
    this.attempts = own.attempts ?? 0
    if (own.status !== undefined) this.status = own.status
    if (own.requestId !== undefined) this.requestId = own.requestId
    if (own.retryAfterMs !== undefined) this.retryAfterMs = own.retryAfterMs
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
    const { name, code, message, retryable, attempts, status, requestId, retryAfterMs } = this
    return {
      name,
      code,
      message,
      retryable,
      attempts,
      ...(status !== undefined && { status }),
      ...(requestId !== undefined && { requestId }),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    }
  }
}

/**
 * `VKIT_CONFIG`: a bad option, no secret, a session token given as the secret, a browser.
 *
 * Mend the set-up; the message says what.
 */
export class VKitConfigError extends VKitError {
  declare readonly name: 'VKitConfigError'
  declare readonly code: 'VKIT_CONFIG'
  static {
    brand(this, 'VKitConfigError')
  }
  constructor(message: string, details: VKitErrorDetails = {}) {
    super(message, { retryable: false, ...details, code: 'VKIT_CONFIG' })
  }
}

/**
 * `VKIT_INVALID_ARGUMENT`: a bad identity, scope or option of a call.
 *
 * Mend the call; the message says what.
 */
export class VKitArgumentError extends VKitError {
  declare readonly name: 'VKitArgumentError'
  declare readonly code: 'VKIT_INVALID_ARGUMENT'
  static {
    brand(this, 'VKitArgumentError')
  }
  constructor(message: string, details: VKitErrorDetails = {}) {
    super(message, { retryable: false, ...details, code: 'VKIT_INVALID_ARGUMENT' })
  }
}

/**
 * `VKIT_INVALID_REQUEST`: the gateway refused the request itself (400, 422, any other 4xx, an `error` with 200; 404 and 410
 * with its JSON error).
 *
 * Read the message, which repeats the gateway's own words; check identity, scopes and `baseUrl`.
 */
export class VKitRequestError extends VKitError {
  declare readonly name: 'VKitRequestError'
  declare readonly code: 'VKIT_INVALID_REQUEST'
  static {
    brand(this, 'VKitRequestError')
  }
  constructor(message: string, details: VKitErrorDetails = {}) {
    super(message, { retryable: false, ...details, code: 'VKIT_INVALID_REQUEST' })
  }
}

/**
 * `VKIT_UNAUTHENTICATED`: the gateway does not accept the app secret (401).
 *
 * Compare it with the dashboard: Apps → Your App → API TOKEN.
 */
export class VKitAuthenticationError extends VKitError {
  declare readonly name: 'VKitAuthenticationError'
  declare readonly code: 'VKIT_UNAUTHENTICATED'
  static {
    brand(this, 'VKitAuthenticationError')
  }
  constructor(message: string, details: VKitErrorDetails = {}) {
    super(message, { retryable: false, ...details, code: 'VKIT_UNAUTHENTICATED' })
  }
}

/**
 * `VKIT_FORBIDDEN`: the app may not mint this token (403 with the gateway's JSON error).
 *
 * Check the scopes, and what the dashboard grants your app. A token that was cached for this user has been dropped.
 */
export class VKitPermissionError extends VKitError {
  declare readonly name: 'VKitPermissionError'
  declare readonly code: 'VKIT_FORBIDDEN'
  static {
    brand(this, 'VKitPermissionError')
  }
  constructor(message: string, details: VKitErrorDetails = {}) {
    super(message, { retryable: false, ...details, code: 'VKIT_FORBIDDEN' })
  }
}

/**
 * `VKIT_RATE_LIMITED`: too many requests (429); `retryAfterMs` is set when the gateway said how long.
 *
 * Wait for `retryAfterMs`, then try again; mint fewer tokens at once.
 */
export class VKitRateLimitError extends VKitError {
  declare readonly name: 'VKitRateLimitError'
  declare readonly code: 'VKIT_RATE_LIMITED'
  static {
    brand(this, 'VKitRateLimitError')
  }
  constructor(message: string, details: VKitErrorDetails = {}) {
    super(message, { retryable: true, ...details, code: 'VKIT_RATE_LIMITED' })
  }
}

/**
 * `VKIT_UNAVAILABLE`: the gateway cannot answer now (408, 409, 425, 5xx), or the circuit is open after it could not.
 *
 * Answer your own caller with 503 and try again later, not before `retryAfterMs`.
 */
export class VKitServerError extends VKitError {
  declare readonly name: 'VKitServerError'
  declare readonly code: 'VKIT_UNAVAILABLE'
  static {
    brand(this, 'VKitServerError')
  }
  constructor(message: string, details: VKitErrorDetails = {}) {
    super(message, { retryable: true, ...details, code: 'VKIT_UNAVAILABLE' })
  }
}

/**
 * `VKIT_CONNECTION`: no complete response came over the network (DNS, refused, reset, cut short), or the HTTP client could
 * not be loaded. `VKIT_TLS`: the certificate or the handshake cannot be trusted, or an `agent` opened an insecure connection.
 *
 * `VKIT_CONNECTION`: try again later; if it stays, check DNS, firewall and proxy, and the limit of open files. `VKIT_TLS`:
 * read the message and the code in `cause`; behind a proxy that intercepts TLS, give its CA to an `agent`.
 */
export class VKitConnectionError extends VKitError {
  declare readonly name: 'VKitConnectionError'
  declare readonly code: 'VKIT_CONNECTION' | 'VKIT_TLS'
  static {
    brand(this, 'VKitConnectionError')
  }
  constructor(message: string, details: VKitErrorDetails = {}) {
    const code = details.code ?? 'VKIT_CONNECTION'
    super(message, { retryable: code === 'VKIT_CONNECTION', ...details, code })
  }
}

/**
 * `VKIT_TIMEOUT`: an attempt (`timeoutMs`) or the whole call (`deadlineMs`) ran out of time.
 *
 * Try again later; if it stays, check the network, and whether the secret provider is slow.
 */
export class VKitTimeoutError extends VKitError {
  declare readonly name: 'VKitTimeoutError'
  declare readonly code: 'VKIT_TIMEOUT'
  static {
    brand(this, 'VKitTimeoutError')
  }
  constructor(message: string, details: VKitErrorDetails = {}) {
    super(message, { retryable: true, ...details, code: 'VKIT_TIMEOUT' })
  }
}

/**
 * `VKIT_INVALID_RESPONSE`: a malformed response; retryable where the next one may be right (no JSON, a token already
 * expired, a 403, 404 or 410 without the gateway's JSON error). `VKIT_IDENTITY_MISMATCH`: a token for another identity,
 * which is neither returned nor cached. `VKIT_REDIRECT`: a 3xx; none is followed, because the secret would go along.
 *
 * `VKIT_INVALID_RESPONSE`: check what stands between you and the gateway, such as a proxy or a firewall that responds itself.
 * `VKIT_IDENTITY_MISMATCH`: contact Video.io support. `VKIT_REDIRECT`: check `baseUrl`.
 */
export class VKitResponseError extends VKitError {
  declare readonly name: 'VKitResponseError'
  declare readonly code: 'VKIT_INVALID_RESPONSE' | 'VKIT_IDENTITY_MISMATCH' | 'VKIT_REDIRECT'
  static {
    brand(this, 'VKitResponseError')
  }
  constructor(message: string, details: VKitErrorDetails = {}) {
    super(message, { retryable: false, ...details, code: details.code ?? 'VKIT_INVALID_RESPONSE' })
  }
}

/**
 * `VKIT_CLOSED`: the client was closed before or during the call.
 *
 * Make a new `VKitClient`, or close it later.
 */
export class VKitClosedError extends VKitError {
  declare readonly name: 'VKitClosedError'
  declare readonly code: 'VKIT_CLOSED'
  static {
    brand(this, 'VKitClosedError')
  }
  constructor(message = 'The client is closed. Make a new VKitClient to go on.', details: VKitErrorDetails = {}) {
    super(message, { retryable: false, ...details, code: 'VKIT_CLOSED' })
  }
}

/** What is left of a foreign error: its name and its code, where they look like ones. */
export interface SanitizedCause extends Error {
  /** Such as `ECONNREFUSED` or `CERT_HAS_EXPIRED`. */
  readonly code?: string
}

/** A fresh error that tells what `error` was, from an allow-list; message and properties may hold the secret and stay behind. */
export function sanitizeCause(error: unknown): SanitizedCause | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const name = readWord(error, 'name', /^[A-Z][A-Za-z0-9]{0,63}$/) ?? 'Error'
  const code = readWord(error, 'code', /^[A-Z][A-Z0-9_]{0,63}$/)
  const cause = new Error(code ?? name)
  Object.defineProperty(cause, 'name', { value: name })
  // The frames would be ours, not those of the fault.
  Object.defineProperty(cause, 'stack', { value: `${name}: ${cause.message}` })
  return code === undefined ? cause : Object.assign(cause, { code })
}

function readWord(error: object, key: 'name' | 'code', shape: RegExp): string | undefined {
  try {
    const value: unknown = Reflect.get(error, key)
    return typeof value === 'string' && shape.test(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** An own error object for one of several callers who share a failure, so that none sees what another does to it. */
export function copyError<T>(error: T, changes: VKitErrorDetails = {}): T {
  if (!(error instanceof VKitError)) return error
  const errorClass = error.constructor as unknown as new (message: string, details: VKitErrorDetails) => T & VKitError
  const { code, retryable, attempts, status, requestId, retryAfterMs, cause } = error
  return new errorClass(error.message, {
    code,
    retryable,
    attempts,
    status,
    requestId,
    retryAfterMs,
    cause: sanitizeCause(cause),
    ...changes,
  })
}
