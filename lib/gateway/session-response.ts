import { VKitResponseError } from '../core/errors.js'
import type { Events } from '../core/events.js'
import type { Instant } from '../core/instant.js'
import { readOwn } from '../core/own-properties.js'
import { formatExpiry, parseExpiry, readJwtExpiry } from '../token/expiry.js'
import type { MintedToken, SessionToken } from '../token/session-token.js'
import type { TokenRequest } from '../token/token-request.js'

/** The parts of the gateway's response that a token is created from. */
export interface SessionResponse {
  readonly body: object
  /** The response's `Date`; undefined if it has none, or if a cache stored the response. */
  readonly dateMs?: number | undefined
}

interface Exchange {
  readonly start: Instant
  readonly end: Instant
  readonly events: Events
}

const MAX_TOKEN_BYTES = 16 * 1024
const MAX_EXPIRY_TEXT = 64

/** Applies to the token and to its expiry, because both are printed, and sent in headers and URLs. */
const PRINTABLE_ASCII = /^[\x20-\x7e]+$/

const PLAUSIBLE_SKEW_MS = 24 * 3600_000
const DATE_RESOLUTION_MS = 1_000

/**
 * Creates a token from the gateway's response to `request`. The exchange began at `start` and ended at `end`.
 *
 * @throws VKitResponseError if the response is for another identity (which the error does not name), or has no token,
 * or an expired one.
 */
export function parseSessionResponse(
  response: SessionResponse,
  request: TokenRequest,
  exchange: Exchange,
): MintedToken {
  const { start, end, events } = exchange
  const sessionToken = readToken(response.body)
  checkIdentity(readOwn(response.body, 'identity'), request.identity)
  const expiry = readExpiry(readOwn(response.body, 'expiresAt'), sessionToken, events)
  const token: SessionToken = Object.freeze({
    sessionToken,
    expiresAt: expiry.text,
    identity: request.identity,
    scopes: request.scopes,
  })
  if (expiry.ms === undefined) return { token }

  const server = serverTime(response.dateMs, exchange)
  const elapsed = end.monotonic - start.monotonic
  if (expiry.ms - server.earliest <= Math.max(0, elapsed)) {
    throw new VKitResponseError('The gateway responded with a session token that has already expired.', {
      retryable: true,
    })
  }
  return { token, lifetime: { start, ms: expiry.ms - server.latest } }
}

function readToken(body: object): string {
  const token = readOwn(body, 'sessionToken')
  if (typeof token !== 'string' || token === '') throw invalid('has no sessionToken')
  if (!PRINTABLE_ASCII.test(token)) throw invalid('has a sessionToken that is not printable ASCII')
  if (token.length > MAX_TOKEN_BYTES) throw invalid('has a sessionToken of more than 16 KiB')
  return token
}

function checkIdentity(received: unknown, requested: string): void {
  if (typeof received !== 'string') throw invalid('has no identity')
  if (received === requested) return
  throw new VKitResponseError('The gateway responded with a token for a different identity than the requested one.', {
    code: 'VKIT_IDENTITY_MISMATCH',
  })
}

interface Expiry {
  readonly text: string
  /** Epoch milliseconds; missing if the text cannot be read. */
  readonly ms?: number
}

/** Returns the earlier of `expiresAt` and, if the token is a JWT, its `exp` (RFC 7519 section 4.1.4, epoch seconds). */
function readExpiry(expiresAt: unknown, sessionToken: string, events: Events): Expiry {
  const exp = readJwtExpiry(sessionToken)
  if (expiresAt === undefined || expiresAt === null || expiresAt === '') {
    if (exp === undefined) throw invalid('has no expiry for the session token')
    return { text: formatExpiry(exp), ms: exp }
  }
  if (typeof expiresAt !== 'string' && typeof expiresAt !== 'number') throw invalid('has no readable expiresAt')

  const text = String(expiresAt)
  if (text.length > MAX_EXPIRY_TEXT) throw invalid('has no readable expiresAt')
  if (!PRINTABLE_ASCII.test(text)) throw invalid('has an expiresAt that is not printable ASCII')
  const ms = parseExpiry(text)
  if (ms === undefined) {
    events.emit({ type: 'unreadable-expiry' })
    return { text }
  }
  if (exp !== undefined && exp < ms) {
    // A JWT has whole seconds, so a smaller difference is rounding.
    if (ms - exp >= 1000) events.emit({ type: 'expiry-mismatch', differenceMs: ms - exp })
    return { text: formatExpiry(exp), ms: exp }
  }
  return { text: text.endsWith('Z') ? text : formatExpiry(ms), ms }
}

/**
 * Returns the bounds of the server's time when the request began.
 *
 * The server's `Date` has whole seconds. If it is the second that our own clock was in, our clock is used, because it
 * is more precise. Otherwise, our clock is off, and `latest` is the safe bound: no token is considered valid for longer
 * than it is.
 */
function serverTime(
  dateMs: number | undefined,
  { start, end, events }: Exchange,
): { earliest: number; latest: number } {
  const local = { earliest: start.wall, latest: start.wall }
  if (dateMs === undefined || Math.abs(dateMs - end.wall) > PLAUSIBLE_SKEW_MS) return local
  const ahead = dateMs - end.wall
  const behind = start.wall - (dateMs + DATE_RESOLUTION_MS)
  if (ahead <= 0 && behind < 0) return local
  const skewMs = ahead > 0 ? ahead : -behind
  if (Math.abs(skewMs) >= DATE_RESOLUTION_MS) events.emit({ type: 'clock-skew', skewMs })
  return { earliest: dateMs, latest: dateMs + DATE_RESOLUTION_MS }
}

function invalid(what: string): VKitResponseError {
  return new VKitResponseError(`The gateway's response ${what}.`)
}
