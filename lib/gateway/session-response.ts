import { VKitResponseError } from '../core/errors.js'
import type { Events } from '../core/events.js'
import type { Instant } from '../core/instant.js'
import { readOwn } from '../core/own-properties.js'
import { formatExpiry, isUtc, parseExpiry, readJwtExpiry } from '../token/expiry.js'
import type { MintedToken, SessionToken } from '../token/session-token.js'
import type { TokenRequest } from '../token/token-request.js'

/** What of the gateway's answer a token is made from. */
export interface SessionResponse {
  readonly body: object
  /** The answer's `Date`, where it has one that no cache on the way has aged. */
  readonly dateMs?: number | undefined
}

interface Exchange {
  readonly start: Instant
  readonly end: Instant
  readonly events: Events
}

const MAX_TOKEN_BYTES = 16 * 1024
const MAX_EXPIRY_TEXT = 64

/** Both are printed, and sent on in headers and addresses. */
const PRINTABLE_ASCII = /^[\x20-\x7e]+$/

const PLAUSIBLE_SKEW_MS = 24 * 3600_000
const DATE_RESOLUTION_MS = 1_000

/**
 * Makes a token of the gateway's answer to `request`, the exchange of which began at `start` and ended at `end`.
 *
 * @throws VKitResponseError if the answer is for another identity (which is not named), holds no token, or one that has expired.
 */
export function parseSessionResponse(answer: SessionResponse, request: TokenRequest, exchange: Exchange): MintedToken {
  const { start, end, events } = exchange
  const sessionToken = readToken(answer.body)
  checkIdentity(readOwn(answer.body, 'identity'), request.identity)
  const expiry = readExpiry(readOwn(answer.body, 'expiresAt'), sessionToken, events)
  const token: SessionToken = Object.freeze({
    sessionToken,
    expiresAt: expiry.text,
    identity: request.identity,
    scopes: request.scopes,
  })
  if (expiry.ms === undefined) return { token }

  const server = serverTime(answer.dateMs, exchange)
  const elapsed = end.monotonic - start.monotonic
  if (expiry.ms - server.earliest <= Math.max(0, elapsed)) {
    throw new VKitResponseError('The gateway answered with a session token that has already expired.', {
      retryable: true,
    })
  }
  return { token, lifetime: { start, ms: expiry.ms - server.latest } }
}

function readToken(body: object): string {
  const token = readOwn(body, 'sessionToken')
  if (typeof token !== 'string' || token === '') throw invalid('holds no sessionToken')
  if (!PRINTABLE_ASCII.test(token)) throw invalid('holds a sessionToken that is not printable ASCII')
  if (Buffer.byteLength(token) > MAX_TOKEN_BYTES) throw invalid('holds a sessionToken of more than 16 KiB')
  return token
}

function checkIdentity(answered: unknown, asked: string): void {
  if (typeof answered !== 'string') throw invalid('holds no identity')
  if (answered === asked) return
  throw new VKitResponseError('The gateway answered with a token for another identity than the one asked for.', {
    code: 'VKIT_IDENTITY_MISMATCH',
  })
}

interface Expiry {
  readonly text: string
  /** Epoch milliseconds; missing where the text could not be read. */
  readonly ms?: number
}

/** The earlier of `expiresAt` and, where the token is a JWT, its `exp` (RFC 7519 section 4.1.4, epoch seconds). */
function readExpiry(expiresAt: unknown, sessionToken: string, events: Events): Expiry {
  const exp = readJwtExpiry(sessionToken)
  if (expiresAt === undefined || expiresAt === null || expiresAt === '') {
    if (exp === undefined) throw invalid('says nowhere when the session token expires')
    return { text: formatExpiry(exp), ms: exp }
  }
  if (typeof expiresAt !== 'string' && typeof expiresAt !== 'number') throw invalid('holds no readable expiresAt')

  const text = String(expiresAt)
  if (text.length > MAX_EXPIRY_TEXT) throw invalid('holds no readable expiresAt')
  if (!PRINTABLE_ASCII.test(text)) throw invalid('holds an expiresAt that is not printable ASCII')
  const ms = parseExpiry(text)
  if (ms === undefined) {
    events.emit({ type: 'unreadable-expiry' })
    return { text }
  }
  if (exp !== undefined && exp < ms) {
    // A JWT counts whole seconds: less than one is rounding.
    if (ms - exp >= 1000) events.emit({ type: 'expiry-mismatch', differenceMs: ms - exp })
    return { text: formatExpiry(exp), ms: exp }
  }
  return { text: isUtc(text) ? text : formatExpiry(ms), ms }
}

/**
 * The bounds of the server's time when the request began.
 *
 * Its `Date` is cut to whole seconds. Where it is the second that our own clock was in, that clock is the better one;
 * where it is not, ours is off, and `latest` errs on the side on which no token is believed to live longer than it does.
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
  return new VKitResponseError(`The gateway's answer ${what}.`)
}
