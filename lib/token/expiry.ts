import { decodeJwt } from 'jose/jwt/decode'
import { utcMs } from '../core/dates.js'
import { readOwn } from '../core/own-properties.js'
import type { SessionToken } from './session-token.js'

const RFC_3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/
const MAX_EPOCH_MS = 253_402_300_800_000 // The year 10000, which RFC 3339 cannot represent.

/**
 * Parses a time: RFC 3339 with a zone, epoch seconds or epoch milliseconds. Returns epoch milliseconds.
 *
 * It is strict, because `Date.parse` reads `5` as a day in 2001, and text without a zone as local time. A number is in
 * the unit in which it is later than September 2001. A smaller number is probably a duration, and is not accepted.
 */
export function parseExpiry(text: string): number | undefined {
  if (/^\d+(?:\.\d+)?$/.test(text)) return parseEpoch(Number(text))
  const match = RFC_3339.exec(text)
  if (!match) return undefined
  const [, year, month, day, hour, minute, second, fraction = '', sign, offsetHours = 0, offsetMinutes = 0] = match
  if (Number(offsetHours) > 23 || Number(offsetMinutes) > 59) return undefined
  const local = utcMs([Number(year), Number(month), Number(day)], [Number(hour), Number(minute), Number(second)])
  if (local === undefined) return undefined
  const offsetMs = (Number(offsetHours) * 60 + Number(offsetMinutes)) * 60_000
  return local + Number(fraction.slice(0, 3).padEnd(3, '0')) - (sign === '-' ? -offsetMs : offsetMs)
}

function parseEpoch(value: number): number | undefined {
  if (value >= 1e9 && value < 1e11) return Math.floor(value * 1000)
  if (value >= 1e12 && value < MAX_EPOCH_MS) return Math.floor(value)
  return undefined
}

/**
 * Omits a zero fraction, because the `ISO8601DateFormatter` of iOS rejects fractions by default. Stops at the year 9999,
 * because a token that never expires may have its end, in a zone in which it is later in UTC.
 */
export function formatExpiry(ms: number): string {
  return new Date(Math.min(ms, MAX_EPOCH_MS - 1)).toISOString().replace('.000Z', 'Z')
}

/** `exp` of a token that is a JWT (RFC 7519 section 4.1.4, seconds), as epoch milliseconds. */
export function readJwtExpiry(token: string): number | undefined {
  // An opaque token: decoding it would create an error with a stack, which costs a tenth of a mint.
  if (!token.includes('.')) return undefined
  try {
    const exp = readOwn(decodeJwt(token), 'exp')
    return typeof exp === 'number' && Math.abs(exp) < MAX_EPOCH_MS / 1000 ? exp * 1000 : undefined
  } catch {
    return undefined // Opaque tokens are valid too.
  }
}

/**
 * Returns the whole seconds until a token expires: at `expiresAt` or, if the token is a JWT, at its `exp`, if that is
 * earlier. Returns undefined if `expiresAt` cannot be read, or if the clock returned no time.
 */
export function remainingSeconds({ sessionToken, expiresAt }: SessionToken, nowMs: number): number | undefined {
  const earliestMs = Math.min(parseExpiry(expiresAt) ?? NaN, readJwtExpiry(sessionToken) ?? Infinity)
  const seconds = Math.floor((earliestMs - nowMs) / 1000)
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined
}
