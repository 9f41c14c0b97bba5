import type { Instant, Lifetime } from '../core/instant.js'
import { ownProperties } from '../core/own-properties.js'
import { plainJson } from '../core/plain-json.js'
import { parseExpiry } from '../token/expiry.js'
import type { MintedToken, SessionToken } from '../token/session-token.js'
import type { TokenRequest } from '../token/token-request.js'
import { UnusableRecord } from './record-crypto.js'
import type { DatedToken } from './tombstones.js'

/** The expected subject of a record, and the current time. */
export interface RecordReader {
  readonly request: TokenRequest
  /** The gateway of the tokens. */
  readonly origin: string
  readonly now: Instant
  /** The gateway's current time, if it is known from a token of this process. */
  readonly serverNowMs: number | undefined
}

/** The clocks of two machines differ a little even if they are synchronized. */
const TOLERATED_SKEW_MS = 1_000

/** The token of a record, and the `untilMs` of the last invalidation that its process knew before the mint. */
export interface RecordedToken extends Required<MintedToken> {
  readonly afterMs: number | undefined
}

/** The content of a record, before encryption. */
export function writeRecord({
  token,
  lifetime,
  origin,
  afterMs,
}: {
  token: SessionToken
  lifetime: Lifetime
  origin: string
  afterMs: number | undefined
}): string {
  const { sessionToken, expiresAt, identity, scopes } = token
  const { start, ms } = lifetime
  const times = { startedAt: start.wall, lifetimeMs: ms, ...(afterMs === undefined ? {} : { afterMs }) }
  return plainJson({ sessionToken, expiresAt, identity, scopes, origin, ...times })
}

/**
 * Returns the token of a decrypted record, with its lifetime on the local clocks.
 *
 * @throws UnusableRecord if it is for another request, or has expired.
 */
export function readRecord(content: string, reader: RecordReader): RecordedToken {
  const record = parse(content)
  const { request, origin, now } = reader
  const isExpected =
    record.identity === request.identity && isSameList(record.scopes, request.scopes) && record.origin === origin
  if (!isExpected) throw new UnusableRecord('mismatch')

  const ageMs = record.lifetimeMs - usableForMs(record, reader)
  const token: SessionToken = Object.freeze({
    sessionToken: record.sessionToken,
    expiresAt: record.expiresAt,
    identity: request.identity,
    scopes: request.scopes,
  })
  const start = { wall: now.wall - ageMs, monotonic: now.monotonic - ageMs }
  return { token, lifetime: { start, ms: record.lifetimeMs }, afterMs: record.afterMs }
}

function isSameList(stored: unknown, requested: readonly string[]): boolean {
  return (
    Array.isArray(stored) && stored.length === requested.length && requested.every((scope, i) => stored[i] === scope)
  )
}

/** Returns the token of a decrypted record, whether valid or not. */
export function datedTokenOf(content: string): DatedToken {
  const { sessionToken, expiresAtMs, lifetimeMs, afterMs } = parse(content)
  return { sessionToken, mintedAtMs: expiresAtMs - lifetimeMs, afterMs }
}

/**
 * Returns how long this process may return the token; never more than its whole lifetime.
 *
 * The monotonic clocks of two processes cannot be compared. So it uses the gateway's time, if known. Otherwise it uses
 * the local wall clock, and the earlier of the expiries by the gateway and by the process that minted the token.
 */
function usableForMs({ expiresAtMs, startedAt, lifetimeMs }: ReadRecord, { now, serverNowMs }: RecordReader): number {
  // A record from the future: the clock of this process, or of the writer, is wrong.
  if (serverNowMs === undefined && startedAt > now.wall + TOLERATED_SKEW_MS) throw new UnusableRecord('clock-skew')
  const byWall = Math.min(expiresAtMs, startedAt + lifetimeMs) - now.wall
  const remaining = Math.min(serverNowMs === undefined ? byWall : expiresAtMs - serverNowMs, lifetimeMs)
  if (!(remaining > 0)) throw new UnusableRecord('expired')
  return remaining
}

interface ReadRecord {
  readonly sessionToken: string
  readonly expiresAt: string
  readonly expiresAtMs: number
  readonly identity: unknown
  readonly scopes: unknown
  readonly origin: unknown
  readonly startedAt: number
  readonly lifetimeMs: number
  readonly afterMs: number | undefined
}

function parse(content: string): ReadRecord {
  const record = parseObject(content)
  const { sessionToken, expiresAt, identity, scopes, origin, startedAt, lifetimeMs, afterMs } = record
  const isText = typeof sessionToken === 'string' && sessionToken !== '' && typeof expiresAt === 'string'
  if (!isText || !isFinite(startedAt) || !isFinite(lifetimeMs)) throw new UnusableRecord('corrupt')
  const expiresAtMs = parseExpiry(expiresAt)
  if (expiresAtMs === undefined) throw new UnusableRecord('corrupt')
  const times = { startedAt, lifetimeMs, afterMs: isFinite(afterMs) ? afterMs : undefined }
  return { sessionToken, expiresAt, expiresAtMs, identity, scopes, origin, ...times }
}

function parseObject(content: string): Record<string, unknown> {
  try {
    // A null prototype, so that only own properties of the record exist.
    return ownProperties(JSON.parse(content) as Record<string, unknown>)
  } catch {
    throw new UnusableRecord('corrupt')
  }
}

function isFinite(value: unknown): value is number {
  return Number.isFinite(value)
}
