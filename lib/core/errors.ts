import { brand, VKitError, type VKitErrorDetails } from './vkit-error.js'

/**
 * `VKIT_CONFIG`: a bad option, no secret, a session token given as the secret, a browser.
 *
 * Fix the configuration; the message says what.
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
 * Fix the arguments; the message says what.
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
 * `VKIT_UNAVAILABLE`: the gateway cannot answer now (408, 409, 425, 5xx); or the client sent nothing, because the circuit is open
 * or too many mints were waiting.
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
