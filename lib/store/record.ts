import type { Instant, Lifetime } from '../core/instant.js'
import { ownProperties } from '../core/own-properties.js'
import { plainJson } from '../core/plain-json.js'
import { parseExpiry } from '../token/expiry.js'
import type { MintedToken, SessionToken } from '../token/session-token.js'
import type { TokenRequest } from '../token/token-request.js'
import { UnusableRecord } from './record-crypto.js'

/** For whom a record must be, and by what time it is read. */
export interface RecordReader {
  readonly request: TokenRequest
  /** The gateway that mints the tokens. */
  readonly origin: string
  readonly now: Instant
  /** The gateway's time now, where we know it better than our wall clock does. */
  readonly serverNowMs: number | undefined
}

/** The clocks of two machines differ a little even where they are kept. */
const TOLERATED_SKEW_MS = 1_000

/** What the store is given to keep, before it is sealed. */
export function writeRecord({
  token,
  lifetime,
  origin,
}: {
  token: SessionToken
  lifetime: Lifetime
  origin: string
}): string {
  const { sessionToken, expiresAt, identity, scopes } = token
  const { start, ms } = lifetime
  return plainJson({ sessionToken, expiresAt, identity, scopes, origin, startedAt: start.wall, lifetimeMs: ms })
}

/**
 * The token of a record that was opened, with its lifetime on our own clocks.
 *
 * @throws UnusableRecord if it is for another request, or no longer valid.
 */
export function readRecord(content: string, reader: RecordReader): MintedToken {
  const record = parse(content)
  const { request, origin, now } = reader
  const isOurs =
    record.identity === request.identity && isSameList(record.scopes, request.scopes) && record.origin === origin
  if (!isOurs) throw new UnusableRecord('mismatch')

  const ageMs = record.lifetimeMs - readableForMs(record, reader)
  const token: SessionToken = Object.freeze({
    sessionToken: record.sessionToken,
    expiresAt: record.expiresAt,
    identity: request.identity,
    scopes: request.scopes,
  })
  const start = { wall: now.wall - ageMs, monotonic: now.monotonic - ageMs }
  return { token, lifetime: { start, ms: record.lifetimeMs } }
}

function isSameList(stored: unknown, asked: readonly string[]): boolean {
  return Array.isArray(stored) && stored.length === asked.length && asked.every((scope, i) => stored[i] === scope)
}

/** The token of a record that was opened, valid or not. */
export function sessionTokenOf(content: string): unknown {
  return parseObject(content)['sessionToken']
}

/**
 * How long this process may serve the token; never more than its whole life.
 *
 * Monotonic clocks of two processes cannot be compared, so it goes by the gateway's time where that is known; otherwise by
 * our wall clock, and by the more pessimistic of what the gateway and the process that minted it said.
 */
function readableForMs({ expiresAtMs, startedAt, lifetimeMs }: ReadRecord, { now, serverNowMs }: RecordReader): number {
  // A record from the future: our clock, or that of the one who wrote it, cannot be believed.
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
}

function parse(content: string): ReadRecord {
  const record = parseObject(content)
  const { sessionToken, expiresAt, identity, scopes, origin, startedAt, lifetimeMs } = record
  const expiresAtMs = typeof expiresAt === 'string' ? parseExpiry(expiresAt) : undefined
  const isWhole =
    typeof sessionToken === 'string' &&
    sessionToken !== '' &&
    typeof expiresAt === 'string' &&
    expiresAtMs !== undefined &&
    isFinite(startedAt) &&
    isFinite(lifetimeMs)
  if (!isWhole) throw new UnusableRecord('corrupt')
  return { sessionToken, expiresAt, expiresAtMs, identity, scopes, origin, startedAt, lifetimeMs }
}

function parseObject(content: string): Record<string, unknown> {
  try {
    // A null prototype: what is not the record's own is not there.
    return ownProperties(JSON.parse(content) as Record<string, unknown>)
  } catch {
    throw new UnusableRecord('corrupt')
  }
}

function isFinite(value: unknown): value is number {
  return Number.isFinite(value)
}
