/**
 * Returns the epoch milliseconds of a time in UTC, or undefined if it does not exist, such as 31 February.
 *
 * A leap second is read as the second after it, as in POSIX. `Date` itself reads 31 February as a day in March.
 */
export function utcMs(
  [year, month, day]: readonly [number, number, number],
  [hour, minute, second]: readonly [number, number, number],
): number | undefined {
  if (month < 1 || month > 12 || hour > 23 || minute > 59 || second > 60) return undefined
  const date = new Date(0)
  // Not Date.UTC(), which reads the year 99 as 1999.
  date.setUTCFullYear(year, month - 1, day)
  return date.getUTCDate() === day ? date.setUTCHours(hour, minute, second) : undefined
}

const IMF_FIXDATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/**
 * Parses an HTTP date in the only format that servers may send (IMF-fixdate, RFC 9110 section 5.6.7). Returns epoch
 * milliseconds.
 *
 * `Date.parse` accepts too much: it reads `1, 2` as a date. The name of the day is ignored, because some servers send a
 * wrong one.
 */
export function parseHttpDate(text: string | undefined): number | undefined {
  const match = text === undefined ? null : IMF_FIXDATE.exec(text)
  if (!match) return undefined
  const [, day, month = '', year, hour, minute, second] = match
  const monthOfYear = MONTHS.indexOf(month) + 1
  return utcMs([Number(year), monthOfYear, Number(day)], [Number(hour), Number(minute), Number(second)])
}
