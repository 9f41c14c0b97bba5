import { brand, registerClasses, VKitError, type VKitErrorDetails } from './vkit-error.js'

/**
 * `VKIT_CONFIG`: an invalid option, a missing app secret, a session token instead of the app secret, or use in a
 * browser.
 *
 * Fix the configuration; the message names the problem.
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
 * `VKIT_INVALID_ARGUMENT`: an invalid identity, scope or option of a call.
 *
 * Fix the arguments; the message names the problem.
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
 * `VKIT_INVALID_REQUEST`: the gateway rejected the request. The status is 400, 422 or a 4xx that has no other code
 * here, 404 or 410 with the gateway's JSON error, or 200 with an `error`.
 *
 * Read the message, which contains the text of the gateway. Check the identity, the scopes and `baseUrl`.
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
 * Compare the app secret with the dashboard: Apps → Your App → API TOKEN.
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
 * `VKIT_FORBIDDEN`: the app is not allowed to create this token (403 with the gateway's JSON error).
 *
 * Check the scopes, and the permissions of your app in the dashboard. The client has removed the user's cached token.
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
 * `VKIT_RATE_LIMITED`: too many requests (429). `retryAfterMs` is set if the gateway sent `Retry-After`.
 *
 * Retry after `retryAfterMs`. Mint fewer tokens at the same time.
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
 * `VKIT_UNAVAILABLE`: the gateway cannot respond now (408, 409, 425, or 5xx except 501 and 505); or the client refused
 * to send a request, because the circuit is open or the queue is too long.
 *
 * Return 503 to your own caller. Retry after `retryAfterMs`.
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
 * `VKIT_CONNECTION`: the connection failed (DNS, refused, reset, interrupted), or the HTTP client could not be loaded.
 * `VKIT_TLS`: the certificate or the handshake cannot be trusted, or an `agent` opened an insecure connection.
 *
 * `VKIT_CONNECTION`: retry later. If the error persists, check DNS, firewall, proxy and the limit of open files. If it is
 * not retryable, start Node with the permission that the message names.
 * `VKIT_TLS`: read the message and the code in `cause`. Behind a proxy that intercepts TLS, pass an `agent` that trusts
 * the proxy's CA.
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
 * `VKIT_TIMEOUT`: an attempt exceeded `timeoutMs`, or the whole call exceeded `deadlineMs`.
 *
 * Retry later. If the error persists, check the network and the speed of the secret provider.
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
 * `VKIT_INVALID_RESPONSE`: a malformed response, or the gateway does not support the request (501, 505). The error is
 * retryable if the response was not JSON, if the token had already expired, or if a 403, 404 or 410 had no JSON error of
 * the gateway.
 * `VKIT_IDENTITY_MISMATCH`: a token for another identity; the client neither returns nor caches it. `VKIT_REDIRECT`: a
 * redirect (3xx); the client does not follow it, to protect the secret.
 *
 * `VKIT_INVALID_RESPONSE`: check the proxies and firewalls between your server and the gateway.
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
 * `VKIT_CLOSED`: `close` was called before the call, or the client was closed during the call.
 *
 * Create a new `VKitClient`, or close the client later.
 */
export class VKitClosedError extends VKitError {
  declare readonly name: 'VKitClosedError'
  declare readonly code: 'VKIT_CLOSED'
  static {
    brand(this, 'VKitClosedError')
  }
  constructor(message = 'The client is closed. Create a new VKitClient.', details: VKitErrorDetails = {}) {
    super(message, { retryable: false, ...details, code: 'VKIT_CLOSED' })
  }
}

registerClasses({
  VKIT_CONFIG: VKitConfigError,
  VKIT_INVALID_ARGUMENT: VKitArgumentError,
  VKIT_INVALID_REQUEST: VKitRequestError,
  VKIT_UNAUTHENTICATED: VKitAuthenticationError,
  VKIT_FORBIDDEN: VKitPermissionError,
  VKIT_RATE_LIMITED: VKitRateLimitError,
  VKIT_UNAVAILABLE: VKitServerError,
  VKIT_CONNECTION: VKitConnectionError,
  VKIT_TLS: VKitConnectionError,
  VKIT_TIMEOUT: VKitTimeoutError,
  VKIT_INVALID_RESPONSE: VKitResponseError,
  VKIT_IDENTITY_MISMATCH: VKitResponseError,
  VKIT_REDIRECT: VKitResponseError,
  VKIT_CLOSED: VKitClosedError,
})
