import { utcMs } from '../core/dates.js'

const IMF_FIXDATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** A longer hint is as good as «not today», and keeps sums far from the largest integer. */
const MAX_RETRY_AFTER_SECONDS = 365 * 24 * 3600

/**
 * Reads an HTTP date in the one format that may be sent (IMF-fixdate, RFC 9110 section 5.6.7), as epoch milliseconds.
 *
 * Not by `Date.parse`, which takes much more than that: `1, 2` is a date to it. The name of the day adds nothing to the
 * date, and some servers make it up.
 */
export function parseHttpDate(text: string | undefined): number | undefined {
  const match = text === undefined ? null : IMF_FIXDATE.exec(text)
  if (!match) return undefined
  const [, day, month = '', year, hour, minute, second] = match
  const monthOfYear = MONTHS.indexOf(month) + 1
  return utcMs([Number(year), monthOfYear, Number(day)], [Number(hour), Number(minute), Number(second)])
}

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
