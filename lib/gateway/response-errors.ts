import {
  VKitAuthenticationError,
  VKitConnectionError,
  VKitPermissionError,
  VKitRateLimitError,
  VKitRequestError,
  VKitResponseError,
  VKitServerError,
} from '../core/errors.js'
import { permissionFlag } from '../core/permission-flag.js'
import { sanitizeCause, type SanitizedCause } from '../core/sanitize-cause.js'
import { portOf } from '../core/url-parts.js'
import type { VKitError, VKitErrorDetails } from '../core/vkit-error.js'
import { containsSecret } from '../secret/redact.js'
import { ProxyError } from './proxy-error.js'

/** OpenSSL's codes for an invalid certificate, and Node's and OpenSSL's codes for a failed handshake. */
const TLS_CODE =
  /CERT|CRL|SELF_SIGNED|UNABLE_TO_|^ERR_TLS_|^ERR_SSL_|^EPROTO$|^INVALID_(?:CA|PURPOSE)$|^HOSTNAME_|^PATH_/

/** Of Node's own HTTP client, and of its `fetch`. */
const HEADERS_TOO_LONG = new Set(['HPE_HEADER_OVERFLOW', 'UND_ERR_HEADERS_OVERFLOW'])

/** Returns where a request goes, for messages: scheme, host, port and path. */
export function placeOf(url: URL, secret: string): string {
  const place = `${url.protocol}//${url.hostname}:${portOf(url)}${url.pathname}`
  return containsSecret(place, secret) ? 'the gateway' : place
}

/** Returns the typed error for a failed connection to `place`. Of Node's error, only the name and code are included. */
export function networkError(error: unknown, place: string, isCertificateRejected = false): VKitError {
  if (ProxyError.is(error)) return proxyError(error, place)
  return connectionError(error, place, isCertificateRejected)
}

function proxyError(error: ProxyError, place: string): VKitError {
  const { status } = error
  if (typeof status !== 'number') return connectionError(error, 'the proxy in HTTPS_PROXY')
  // A retry sends the same credentials, and a proxy may lock them after a few failures.
  const details = { cause: sanitizeCause(error), retryable: status !== 407 }
  return new VKitConnectionError(`The proxy in HTTPS_PROXY refused the connection to ${place} (${status}).`, details)
}

function connectionError(error: unknown, place: string, isCertificateRejected = false): VKitError {
  const cause = sanitizeCause(error)
  const code = cause?.code ?? (isCertificateRejected ? 'certificate rejected' : cause?.name) ?? 'no code'
  if (HEADERS_TOO_LONG.has(code)) {
    return new VKitResponseError(`${place} sent more than 16 KiB of headers.`, { cause })
  }
  // A response that ends too early is a network failure, and any other parser error means a malformed response.
  if (code.startsWith('HPE_') && code !== 'HPE_INVALID_EOF_STATE') {
    return new VKitResponseError(`The response from ${place} is not valid HTTP (${code}).`, { cause })
  }
  if (isCertificateRejected || TLS_CODE.test(code)) {
    return new VKitConnectionError(`No secure connection to ${place} (${code}).`, { code: 'VKIT_TLS', cause })
  }
  const why = denialMessage(error) ?? (cause && interceptionMessage(cause))
  if (why !== undefined) return new VKitConnectionError(`POST ${place}: ${why} (${code}).`, { cause, retryable: false })
  return new VKitConnectionError(`The connection to ${place} failed (${code}).`, { cause })
}

/** Describes what Node's permission model denied. */
function denialMessage(error: unknown): string | undefined {
  const flag = permissionFlag(error, '--allow-net')
  return flag && `Node's permission model does not allow the connection: start Node with ${flag}`
}

/** Describes what an HTTP test tool did, without its own message: nock's contains the headers, and so the secret. */
function interceptionMessage({ code, name }: SanitizedCause): string | undefined {
  if (code === 'ERR_NOCK_NO_MATCH') return 'nock intercepted the request, and none of its interceptors matches'
  if (name === 'NetConnectNotAllowedError') return 'nock does not allow connections to this host'
  if (name === 'InternalError' && code === undefined)
    return 'msw intercepted the request, and none of its handlers matches'
  return undefined
}

/**
 * These statuses may drop a token or refuse the user, so a page of a proxy or firewall must not count as one of them.
 */
const NEEDS_GATEWAY_FORMAT = new Set([403, 404, 410])

/**
 * Whether a failure is a proxy's or firewall's page.
 *
 * It shows nothing about the gateway, and a retry may get it again.
 */
export function isForeignPage({ code, status = 0 }: VKitError): boolean {
  return code === 'VKIT_INVALID_RESPONSE' && NEEDS_GATEWAY_FORMAT.has(status)
}

interface ErrorContext {
  readonly place: string
  readonly details: VKitErrorDetails
}

/**
 * Returns the typed error for an error status.
 *
 * `reason` is the gateway's own message, ready to end a sentence; it is undefined if the response is in any other
 * format.
 */
export function toError(status: number, reason: string | undefined, { place, details }: ErrorContext): VKitError {
  if (reason === undefined && NEEDS_GATEWAY_FORMAT.has(status)) {
    return new VKitResponseError(
      `${place} responded with ${status}, but not in the gateway's format. The response may come from a proxy or a firewall.`,
      { ...details, retryable: true },
    )
  }
  const why = reason ?? '.'
  switch (status) {
    case 401:
      return new VKitAuthenticationError(
        `The gateway does not accept the app secret (401)${why} Check it against the dashboard: Apps → Your App → API TOKEN.`,
        details,
      )
    case 403:
      return new VKitPermissionError(`The app may not mint this session token (403)${why}`, details)
    case 408:
    case 409:
    case 425:
      return new VKitServerError(`The gateway cannot respond now (${status})${why}`, details)
    case 429:
      return new VKitRateLimitError(`Too many requests (429)${why}`, details)
    case 501:
    case 505:
      return new VKitResponseError(`${place} does not support this request (${status})${why}`, details)
  }
  if (status < 500) return new VKitRequestError(`${place} refused the request (${status})${why}`, details)
  if (status < 600) return new VKitServerError(`The gateway cannot respond now (${status})${why}`, details)
  return new VKitResponseError(`${place} responded with ${status}, which is not a valid HTTP status.`, details)
}
