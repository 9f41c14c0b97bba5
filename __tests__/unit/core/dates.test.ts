import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { parseHttpDate } from '../../../lib/core/dates.js'

const NOW = Date.UTC(2030, 0, 1)

describe('parseHttpDate', () => {
  it.each([
    ['Tue, 01 Jan 2030 00:00:00 GMT', NOW],
    ['Tue, 29 Feb 2028 23:59:59 GMT', Date.UTC(2028, 1, 29, 23, 59, 59)],
    ['Sat, 31 Dec 2016 23:59:60 GMT', Date.UTC(2017, 0, 1)],
    ['Mon, 01 Jan 2030 00:00:00 GMT', NOW],
  ])('reads %s', (text, ms) => {
    expect(parseHttpDate(text)).toBe(ms)
  })

  it.each([
    ['a day, hour and minute of 99', 'Mon, 99 Jan 2020 99:99:99 GMT'],
    ['a day 0', 'Tue, 00 Jan 2030 00:00:00 GMT'],
    ['31 February', 'Thu, 31 Feb 2030 00:00:00 GMT'],
    ['29 February outside a leap year', 'Fri, 29 Feb 2030 00:00:00 GMT'],
    ['an hour 24', 'Tue, 01 Jan 2030 24:00:00 GMT'],
    ['a minute 60', 'Tue, 01 Jan 2030 00:60:00 GMT'],
    ['a second 61', 'Tue, 01 Jan 2030 00:00:61 GMT'],
    ['an unknown month', 'Tue, 01 Foo 2030 00:00:00 GMT'],
    ['another zone', 'Tue, 01 Jan 2030 00:00:00 CET'],
    ['an obsolete format', 'Tuesday, 01-Jan-30 00:00:00 GMT'],
    ['RFC 3339', '2030-01-01T00:00:00Z'],
    ['text that Date accepts', '1, 2'],
    ['a line break after', 'Tue, 01 Jan 2030 00:00:00 GMT\n'],
    ['empty text', ''],
  ])('does not read %s', (_, text) => {
    expect(parseHttpDate(text)).toBeUndefined()
  })

  it('reads every date that Date writes', () => {
    const moment = fc.date({ min: new Date('0100-01-01'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true })
    fc.assert(
      fc.property(moment, date => {
        expect(parseHttpDate(date.toUTCString())).toBe(Math.floor(date.getTime() / 1000) * 1000)
      }),
      { numRuns: 300 },
    )
  })

  it('returns the written time or undefined, for any digits', () => {
    const two = fc.integer({ min: 0, max: 99 }).map(value => String(value).padStart(2, '0'))
    const parts = fc.tuple(two, fc.constantFrom('Jan', 'Feb', 'Apr', 'Dec', 'Foo'), two, two, two, two)
    fc.assert(
      fc.property(parts, ([day, month, year, hour, minute, second]) => {
        const text = `${day} ${month} 20${year} ${hour}:${minute}:${second} GMT`
        const ms = parseHttpDate(`Mon, ${text}`)
        const isLeap = second === '60'
        const withoutLeap = text.replace(':60 GMT', ':59 GMT')
        expect([undefined, Date.parse(withoutLeap) + (isLeap ? 1_000 : 0)]).toContain(ms)
        if (ms !== undefined) expect(new Date(Date.parse(withoutLeap)).toUTCString().slice(5)).toBe(withoutLeap)
      }),
      { numRuns: 300 },
    )
  })
})
