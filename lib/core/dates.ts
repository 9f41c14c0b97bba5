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
