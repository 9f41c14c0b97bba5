import { parseHttpDate } from '../core/dates.js'
import { VKitRequestError, VKitResponseError } from '../core/errors.js'
import { readOwn } from '../core/own-properties.js'
import type { VKitErrorDetails } from '../core/vkit-error.js'
import { containsSecret, hasOpaqueRun, redact } from '../secret/redact.js'
import { toError } from './response-errors.js'

/** The longest body that is read. */
export const MAX_BODY_BYTES: number = 64 * 1024

/** A complete response, as received. */
export interface RawResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly bytes: Uint8Array
}

/** A successful response: a JSON object without an `error`. */
export interface GatewayResponse {
  readonly status: number
  /** The gateway's ID of the request, if it is safe to show. */
  readonly requestId?: string | undefined
  readonly body: object
  /** `Date`, epoch milliseconds; undefined if an `Age` shows that the response comes from a cache. */
  readonly dateMs: number | undefined
}

/** Ignores a byte order mark, which some servers send, as a JSON parser may (RFC 8259 section 8.1). */
const UTF_8 = new TextDecoder('utf-8', { fatal: true })
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export interface ParseContext {
  readonly secret: string
  readonly identity: string
  /** Where the request goes, for messages. */
  readonly place: () => string
  readonly nowMs: number
}

/**
 * Parses a response, or throws its error.
 *
 * The error message includes the `error` member of the response, redacted, and no other text of it.
 */
export function parseResponse(raw: RawResponse, context: ParseContext): GatewayResponse {
  const { secret, place, nowMs } = context
  const dateMs = parseHttpDate(header(raw, 'date'))
  const { status } = raw
  const details = (): VKitErrorDetails => ({
    status,
    requestId: readRequestId(raw, context),
    retryAfterMs: parseRetryAfter(header(raw, 'retry-after'), dateMs ?? nowMs),
  })
  if (status >= 300 && status < 400) {
    throw new VKitResponseError(
      `${place()} responded with ${status}, a redirect, which the client does not follow. Check baseUrl.`,
      {
        ...details(),
        code: 'VKIT_REDIRECT',
      },
    )
  }
  if (status >= 400) throw toError(status, gatewayMessage(raw, secret), { place: place(), details: details() })
  // A gateway may respond to a POST with 201, and other statuses do not show a success.
  if (status !== 200 && status !== 201) {
    throw new VKitResponseError(`${place()} responded with ${status}.`, details())
  }
  const body = parseObject(raw, details)
  const error = readError(body, secret)
  if (error !== undefined) throw new VKitRequestError(`${place()} refused the request${error}`, details())
  // The content of the body goes on to an end user's client.
  if (returnsSecret(body, secret)) throw new VKitResponseError(`${place()} sent the app secret back.`, details())
  const requestId = readRequestId(raw, context, readOwn(body, 'sessionToken'))
  return { status, requestId, body, dateMs: header(raw, 'age') === undefined ? dateMs : undefined }
}

/** A shorter secret, such as a test secret, may occur in a token or a date by chance. */
const MIN_DISTINCT_SECRET = 12

/** Whether a member that goes on to an end user contains the secret. The identity is the caller's own text. */
function returnsSecret(body: object, secret: string): boolean {
  if (secret.length < MIN_DISTINCT_SECRET) return false
  return ['sessionToken', 'expiresAt'].some(name => {
    const value = readOwn(body, name)
    return typeof value === 'string' && value.includes(secret)
  })
}

/** Returns the gateway's message about a failure, if the body is in the gateway's format: JSON with an `error`. */
function gatewayMessage(raw: RawResponse, secret: string): string | undefined {
  try {
    return readError(parseObject(raw), secret)
  } catch {
    return undefined
  }
}

function parseObject(raw: RawResponse, details: () => VKitErrorDetails = () => ({})): object {
  const encoding = header(raw, 'content-encoding')
  if (encoding !== undefined && encoding !== 'identity') {
    throw new VKitResponseError('The gateway responded with an unrequested content encoding.', details())
  }
  if (raw.bytes.length === 0) throw new VKitResponseError('The gateway responded with an empty body.', details())
  let text: string
  try {
    text = UTF_8.decode(raw.bytes)
  } catch {
    throw new VKitResponseError('The gateway responded with invalid UTF-8.', details())
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The body may be a proxy's page or an incomplete response, and the next attempt may get a real one.
    throw new VKitResponseError('The gateway responded with a body that is not JSON.', {
      ...details(),
      retryable: true,
    })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new VKitResponseError('The gateway responded with JSON that is not an object.', details())
  }
  return value
}

/** Returns the text of an `error` member, ready to end a sentence; undefined if there is none. */
function readError(body: object, secret: string): string | undefined {
  const error = readOwn(body, 'error')
  if (!error) return undefined
  const clean = redact(typeof error === 'string' ? error : describe(error), secret)
  return clean === '' ? '.' : `: ${/[.!?…]$/.test(clean) ? clean : `${clean}.`}`
}

/** Returns the usual members only, because an object may have any depth and any content. */
function describe(error: object): string {
  return ['code', 'type', 'message', 'detail', 'description']
    .map(key => readOwn(error, key))
    .filter(value => (typeof value === 'string' && value !== '') || typeof value === 'number')
    .join(' – ')
}

/** Reads the request ID from the usual headers, because Video.io does not document its own header. */
function readRequestId(
  raw: RawResponse,
  { secret, identity }: ParseContext,
  sessionToken?: unknown,
): string | undefined {
  const id = header(raw, 'x-request-id') ?? header(raw, 'request-id')
  if (id === undefined || !/^[\w.:-]{1,64}$/.test(id)) return undefined
  if (repeats(id, identity) || repeats(id, sessionToken)) return undefined
  return isSafeToShow(secret, id) ? id : undefined
}

/** A shorter text may occur in an ID by chance. */
const MIN_DISTINCT_TEXT = 4
const MIN_DISTINCT_PART = 12

/** Whether an ID is or contains `text`, or is a long part of it. It ignores case, because IDs are often rewritten. */
function repeats(id: string, text: unknown): boolean {
  if (typeof text !== 'string') return false
  const [folded, other] = [id.toLowerCase(), text.toLowerCase()]
  if (other.length >= MIN_DISTINCT_TEXT && folded.includes(other)) return true
  return folded === other || (folded.length >= MIN_DISTINCT_PART && other.includes(folded))
}

/** Whether a text contains neither the secret nor long opaque text, which may be the encoded secret. A UUID is safe. */
function isSafeToShow(secret: string, text: string): boolean {
  if (containsSecret(text, secret)) return false
  return UUID.test(text) || !hasOpaqueRun(text)
}

function header(raw: RawResponse, name: string): string | undefined {
  const value = readOwn(raw.headers, name)
  return typeof value === 'string' ? value : undefined
}

/** A longer wait means the same in practice, and the limit keeps sums far from the largest integer. */
const MAX_RETRY_AFTER_SECONDS = 365 * 24 * 3600

/**
 * Reads `Retry-After` (RFC 9110 section 10.2.3: whole seconds, or a date) as milliseconds from now.
 *
 * A date is compared with `serverNowMs`, the `Date` of the same response, because our clock may be off. An invalid
 * value or a past date returns undefined: the caller's own backoff applies.
 */
export function parseRetryAfter(text: string | undefined, serverNowMs: number): number | undefined {
  if (text === undefined) return undefined
  if (/^\d+$/.test(text)) return Math.min(Number(text), MAX_RETRY_AFTER_SECONDS) * 1000 || undefined
  const at = parseHttpDate(text)
  if (at === undefined || at <= serverNowMs) return undefined
  return Math.min(at - serverNowMs, MAX_RETRY_AFTER_SECONDS * 1000)
}
