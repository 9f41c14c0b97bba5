import { isUtf8 } from 'node:buffer'
import { parseHttpDate } from '../core/dates.js'
import { VKitRequestError, VKitResponseError } from '../core/errors.js'
import { readOwn } from '../core/own-properties.js'
import type { VKitErrorDetails } from '../core/vkit-error.js'
import { containsSecret, redact } from '../secret/redact.js'
import { toError } from './response-errors.js'

/** An answer as it came over the wire, whole. */
export interface RawResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly bytes: Buffer
}

/** A successful answer: a JSON object without an `error`. */
export interface GatewayResponse {
  readonly body: object
  /** `Date`, epoch milliseconds; missing where an `Age` says that the answer lay in a cache. */
  readonly dateMs: number | undefined
}

/** Some servers write one, and a reader of JSON may ignore it (RFC 8259 section 8.1). */
const BYTE_ORDER_MARK = /^\ufeff/
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export interface ParseContext {
  readonly secret: string
  /** Where the request went, for messages. */
  readonly place: () => string
  readonly nowMs: number
}

/**
 * Reads an answer, or throws the error that it is.
 *
 * What the gateway says in an `error` member goes into the message, redacted; no other text of the response does.
 */
export function parseResponse(raw: RawResponse, { secret, place, nowMs }: ParseContext): GatewayResponse {
  const dateMs = parseHttpDate(header(raw, 'date'))
  const { status } = raw
  const details = (): VKitErrorDetails => ({
    status,
    requestId: readRequestId(raw, secret),
    retryAfterMs: parseRetryAfter(header(raw, 'retry-after'), dateMs ?? nowMs),
  })
  if (status >= 300 && status < 400) {
    throw new VKitResponseError(`${place()} responded with ${status}, a redirect. None is followed: check baseUrl.`, {
      ...details(),
      code: 'VKIT_REDIRECT',
    })
  }
  if (status >= 400) throw toError(status, gatewayMessage(raw, secret), { place: place(), details: details() })
  // A gateway may respond with 201 to a POST; only the body can show that any other status is a success.
  if (status !== 200 && status !== 201) {
    throw new VKitResponseError(`${place()} responded with ${status}.`, details())
  }
  const body = parseObject(raw, details)
  const error = readError(body, secret)
  if (error !== undefined) throw new VKitRequestError(`${place()} refused the request${error}`, details())
  // What it holds goes on to the client of an end user.
  if (sendsSecretOn(body, secret)) throw new VKitResponseError(`${place()} sent the app secret back.`, details())
  return { body, dateMs: header(raw, 'age') === undefined ? dateMs : undefined }
}

/** A shorter secret, such as one of a test, may be a part of a token or a date by chance. */
const MIN_DISTINCT_SECRET = 12

/** Whether a member that goes on to an end user holds the secret. The identity is the caller's own text. */
function sendsSecretOn(body: object, secret: string): boolean {
  if (secret.length < MIN_DISTINCT_SECRET) return false
  return ['sessionToken', 'expiresAt'].some(name => {
    const value = readOwn(body, name)
    return typeof value === 'string' && value.includes(secret)
  })
}

/** What the gateway says of a failure, where the body is in the contract's format: JSON with an `error`. */
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
    throw new VKitResponseError('The gateway answered in an encoding that was not asked for.', details())
  }
  if (raw.bytes.length === 0) throw new VKitResponseError('The gateway answered with an empty body.', details())
  if (!isUtf8(raw.bytes)) throw new VKitResponseError('The gateway answered with invalid UTF-8.', details())
  let value: unknown
  try {
    value = JSON.parse(raw.bytes.toString('utf8').replace(BYTE_ORDER_MARK, ''))
  } catch {
    // Pages of proxies and half-written answers: the next attempt may well get a real one.
    throw new VKitResponseError('The gateway answered with something that is not JSON.', {
      ...details(),
      retryable: true,
    })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new VKitResponseError('The gateway answered with JSON that is not an object.', details())
  }
  return value
}

/** The text of an `error` member, ready to end a sentence; undefined where there is none. */
function readError(body: object, secret: string): string | undefined {
  const error = readOwn(body, 'error')
  if (!error) return undefined
  const text = typeof error === 'string' ? error : describe(error)
  const clean = text === undefined ? '' : redact(text, secret)
  return clean === '' ? '.' : `: ${/[.!?…]$/.test(clean) ? clean : `${clean}.`}`
}

/** Names the usual members only: an object may be of any depth, and hold anything. */
function describe(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const words = ['code', 'type', 'message', 'detail', 'description']
    .map(key => readOwn(error, key))
    .filter(value => (typeof value === 'string' && value !== '') || typeof value === 'number')
  return words.length > 0 ? words.join(' – ') : undefined
}

/** The usual names: what Video.io's own is called is not documented. */
function readRequestId(raw: RawResponse, secret: string): string | undefined {
  const id = header(raw, 'x-request-id') ?? header(raw, 'request-id')
  if (id === undefined || !/^[\w.:-]{1,64}$/.test(id)) return undefined
  return isSafeToShow(secret, id) ? id : undefined
}

/** Beside the secret itself no long opaque text is let through but a UUID: it may be the secret, encoded somehow. */
function isSafeToShow(secret: string, text: string): boolean {
  if (containsSecret(text, secret)) return false
  return UUID.test(text) || redact(`${text} `, secret).startsWith(text)
}

function header(raw: RawResponse, name: string): string | undefined {
  const value = readOwn(raw.headers, name)
  return typeof value === 'string' ? value : undefined
}

/** A longer hint is as good as «not today», and keeps sums far from the largest integer. */
const MAX_RETRY_AFTER_SECONDS = 365 * 24 * 3600

/**
 * Reads `Retry-After` (RFC 9110 section 10.2.3: whole seconds, or a date) as milliseconds from now.
 *
 * A date is held against `serverNowMs`, the same answer's `Date`, since our clock may be off. Nonsense and moments that
 * are past give nothing: the caller's own backoff applies.
 */
export function parseRetryAfter(text: string | undefined, serverNowMs: number): number | undefined {
  if (text === undefined) return undefined
  if (/^\d+$/.test(text)) return Math.min(Number(text), MAX_RETRY_AFTER_SECONDS) * 1000 || undefined
  const at = parseHttpDate(text)
  if (at === undefined || at <= serverNowMs) return undefined
  return Math.min(at - serverNowMs, MAX_RETRY_AFTER_SECONDS * 1000)
}
