/**
 * Epoch milliseconds of a moment in UTC, by the calendar; undefined where there is none such, as on 31 February.
 *
 * A leap second is taken for the one after it, as POSIX does. `Date` itself takes 31 February for a day in March.
 */
export function utcMs(
  [year, month, day]: readonly [number, number, number],
  [hour, minute, second]: readonly [number, number, number],
): number | undefined {
  if (month < 1 || month > 12 || hour > 23 || minute > 59 || second > 60) return undefined
  const date = new Date(0)
  // Not Date.UTC(), to which the year 99 is 1999.
  date.setUTCFullYear(year, month - 1, day)
  return date.getUTCDate() === day ? date.setUTCHours(hour, minute, second) : undefined
}

const IMF_FIXDATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

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
