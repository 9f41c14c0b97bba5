import {
  VKitAuthenticationError,
  VKitConnectionError,
  VKitPermissionError,
  VKitRateLimitError,
  VKitRequestError,
  VKitResponseError,
  VKitServerError,
} from '../core/errors.js'
import { sanitizeCause, type SanitizedCause } from '../core/sanitize-cause.js'
import { portOf } from '../core/url-parts.js'
import type { VKitError, VKitErrorDetails } from '../core/vkit-error.js'
import { containsSecret } from '../secret/redact.js'

/** OpenSSL's names for what is wrong with a certificate, and Node's and OpenSSL's for a failed handshake. */
const TLS_CODE =
  /CERT|CRL|SELF_SIGNED|UNABLE_TO_|^ERR_TLS_|^ERR_SSL_|^EPROTO$|^INVALID_(?:CA|PURPOSE)$|^HOSTNAME_|^PATH_/

/** Where a request went, for messages: scheme, host, port and path. */
export function placeOf(url: URL, secret: string): string {
  const place = `${url.protocol}//${url.hostname}:${portOf(url)}${url.pathname}`
  return containsSecret(place, secret) ? 'the gateway' : place
}

/** The typed error for what Node reports of the connection to `place`; nothing of the original but its code is kept. */
export function networkError(error: unknown, place: string, isCertificateRejected = false): VKitError {
  const cause = sanitizeCause(error)
  const code = cause?.code ?? (isCertificateRejected ? 'certificate rejected' : cause?.name) ?? 'no code'
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new VKitResponseError(`${place} sent more than 16 KiB of headers.`, { cause })
  }
  // An end that comes too early is the network's fault; all else that the parser objects to is the response's.
  if (code.startsWith('HPE_') && code !== 'HPE_INVALID_EOF_STATE') {
    return new VKitResponseError(`The response of ${place} is not valid HTTP (${code}).`, { cause })
  }
  if (isCertificateRejected || TLS_CODE.test(code)) {
    return new VKitConnectionError(`No secure connection to ${place} (${code}).`, { code: 'VKIT_TLS', cause })
  }
  const why = cause && interceptionMessage(cause)
  if (why !== undefined) return new VKitConnectionError(`POST ${place}: ${why} (${code}).`, { cause, retryable: false })
  return new VKitConnectionError(`The connection to ${place} failed (${code}).`, { cause })
}

/** What a test tool that intercepts HTTP did. Its own message is not repeated: nock's has the headers, so the secret. */
function interceptionMessage({ code, name }: SanitizedCause): string | undefined {
  if (code === 'ERR_NOCK_NO_MATCH') return 'nock intercepted the request, and none of its interceptors matches'
  if (name === 'NetConnectNotAllowedError') return 'nock does not allow connections to this host'
  if (name === 'InternalError' && code === undefined)
    return 'msw intercepted the request, and none of its handlers matches'
  return undefined
}

/** On these a token may be dropped, or the user be refused, so that the page of a proxy or a firewall must not pass for one. */
const NEEDS_THE_CONTRACT = new Set([403, 404, 410])

/** Whether a failure is such a page: it says nothing of the gateway, and the same request may meet it again. */
export function isForeignPage({ code, status = 0 }: VKitError): boolean {
  return code === 'VKIT_INVALID_RESPONSE' && NEEDS_THE_CONTRACT.has(status)
}

interface ErrorContext {
  readonly place: string
  readonly details: VKitErrorDetails
}

/** `reason`: what the response says in the contract's format, ready to end a sentence; undefined in any other format. */
export function toError(status: number, reason: string | undefined, { place, details }: ErrorContext): VKitError {
  if (reason === undefined && NEEDS_THE_CONTRACT.has(status)) {
    return new VKitResponseError(
      `${place} responded with ${status} in a format that is not the gateway's: it may come from a proxy or a firewall.`,
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
      return new VKitServerError(`The gateway cannot answer now (${status})${why}`, details)
    case 429:
      return new VKitRateLimitError(`Too many requests (429)${why}`, details)
    case 501:
    case 505:
      return new VKitResponseError(`${place} does not support this request (${status})${why}`, details)
  }
  if (status < 500) return new VKitRequestError(`${place} refused the request (${status})${why}`, details)
  if (status < 600) return new VKitServerError(`The gateway cannot answer now (${status})${why}`, details)
  return new VKitResponseError(`${place} responded with ${status}, which is not a valid HTTP status.`, details)
}
