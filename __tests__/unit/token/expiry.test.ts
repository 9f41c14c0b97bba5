import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { makeJwt } from '../../../lib/testing/emulator-jwt.js'
import { formatExpiry, parseExpiry, readJwtExpiry, remainingSeconds } from '../../../lib/token/expiry.js'

const at = (text: string): number => new Date(text).getTime()
const jwt = (claims: object): string => makeJwt(claims, 'any key')

describe('parseExpiry', () => {
  it.each([
    ['2030-01-02T03:04:05Z', at('2030-01-02T03:04:05Z')],
    ['2030-01-02T03:04:05.678Z', at('2030-01-02T03:04:05.678Z')],
    ['2030-01-02T03:04:05.6789999Z', at('2030-01-02T03:04:05.678Z')],
    ['2030-01-02T03:04:05.6Z', at('2030-01-02T03:04:05.600Z')],
    ['2030-01-02t03:04:05z', at('2030-01-02T03:04:05Z')],
    ['2030-01-02T03:04:05+05:30', at('2030-01-01T21:34:05Z')],
    ['2030-01-02T03:04:05-08:00', at('2030-01-02T11:04:05Z')],
    ['2030-01-02T03:04:05-00:00', at('2030-01-02T03:04:05Z')],
    ['2028-02-29T00:00:00Z', at('2028-02-29T00:00:00Z')],
    ['2000-02-29T00:00:00Z', at('2000-02-29T00:00:00Z')],
    ['2016-12-31T23:59:60Z', at('2017-01-01T00:00:00Z')],
    ['1893553445', 1_893_553_445_000],
    ['1893553445.5', 1_893_553_445_500],
    ['1893553445.25', 1_893_553_445_250],
    ['1000000000', 1_000_000_000_000],
    ['1000000000000', 1_000_000_000_000],
    ['99999999999', at('5138-11-16T09:46:39Z')],
    ['253402300799999', at('9999-12-31T23:59:59.999Z')],
    ['1893553445678', 1_893_553_445_678],
  ])('reads %s', (text, ms) => {
    expect(parseExpiry(text)).toBe(ms)
  })

  it.each([
    ['a duration', '3600'],
    ['a small number, which Date reads as a year', '5'],
    ['a second before September 2001', '999999999'],
    ['a millisecond before September 2001', '999999999999'],
    ['a number between seconds and milliseconds', '100000000000'],
    ['a millisecond of the year 10000', '253402300800000'],
    ['microseconds', '1893553445678000'],
    ['no zone', '2030-01-02T03:04:05'],
    ['a space instead of the T', '2030-01-02 03:04:05Z'],
    ['a date without a time', '2030-01-02'],
    ['a month 13', '2030-13-02T03:04:05Z'],
    ['29 February outside a leap year', '2030-02-29T03:04:05Z'],
    ['29 February 2100', '2100-02-29T00:00:00Z'],
    ['a day 0', '2030-01-00T03:04:05Z'],
    ['an hour 24', '2030-01-02T24:00:00Z'],
    ['a minute 60', '2030-01-02T03:60:00Z'],
    ['a second 61', '2030-01-02T03:04:61Z'],
    ['an offset of 24 h', '2030-01-02T03:04:05+24:00'],
    ['an offset of 60 min', '2030-01-02T03:04:05+01:60'],
    ['an offset without a colon', '2030-01-02T03:04:05+0100'],
    ['an empty fraction', '2030-01-02T03:04:05.Z'],
    ['spaces around', ' 2030-01-02T03:04:05Z '],
    ['a line break after', '2030-01-02T03:04:05Z\n'],
    ['other digits', '٢٠٣٠-01-02T03:04:05Z'],
    ['a year of five digits', '12030-01-02T03:04:05Z'],
    ['an HTTP date', 'Wed, 02 Jan 2030 03:04:05 GMT'],
    ['English', 'tomorrow'],
    ['a sign', '-1893553445'],
    ['an exponent', '1.9e9'],
    ['NaN', 'NaN'],
    ['empty text', ''],
  ])('does not read %s', (_, text) => {
    expect(parseExpiry(text)).toBeUndefined()
  })

  const moment = fc.date({
    min: new Date('0001-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59.999Z'),
    noInvalidDate: true,
  })

  it('reads every date that Date writes', () => {
    fc.assert(fc.property(moment, date => expect(parseExpiry(date.toISOString())).toBe(date.getTime())))
  })

  it('reads the same moment in any zone', () => {
    fc.assert(
      fc.property(moment, fc.integer({ min: -23 * 60 - 59, max: 23 * 60 + 59 }), (date, minutes) => {
        const local = new Date(date.getTime() + minutes * 60_000)
        fc.pre(local.getUTCFullYear() >= 1 && local.getUTCFullYear() <= 9999)
        const two = (value: number): string => String(value).padStart(2, '0')
        const sign = minutes < 0 ? '-' : '+'
        const zone = `${sign}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`
        expect(parseExpiry(local.toISOString().replace('Z', zone))).toBe(date.getTime())
      }),
    )
  })

  it('never throws, and returns a whole number of milliseconds or undefined', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.double().map(String), fc.bigInt().map(String)), text => {
        const ms = parseExpiry(text)
        expect(ms === undefined || Number.isSafeInteger(ms)).toBe(true)
      }),
    )
  })
})

describe('formatExpiry', () => {
  it('writes RFC 3339 in UTC, with a fraction only if it is not zero', () => {
    expect(formatExpiry(at('2030-01-02T03:04:05Z'))).toBe('2030-01-02T03:04:05Z')
    expect(formatExpiry(at('2030-01-02T03:04:05.670Z'))).toBe('2030-01-02T03:04:05.670Z')
  })

  it('writes the end of the year 9999 for a later time, which RFC 3339 cannot represent', () => {
    const later = parseExpiry('9999-12-31T23:59:59.9999999-08:00') ?? NaN
    expect(formatExpiry(later)).toBe('9999-12-31T23:59:59.999Z')
  })
})

describe('readJwtExpiry', () => {
  it.each<[string, string, number | undefined]>([
    ['reads exp as milliseconds', jwt({ exp: 1_893_553_445 }), 1_893_553_445_000],
    ['reads the last second before the year 10000', jwt({ exp: 253_402_300_799 }), 253_402_300_799_000],
    ['ignores a later one, which no date can represent', jwt({ exp: 253_402_300_800 }), undefined],
    ['ignores one that is as long ago', jwt({ exp: -253_402_300_800 }), undefined],
    ['ignores text', jwt({ exp: '1893553445' }), undefined],
    ['ignores null', jwt({ exp: null }), undefined],
    ['knows none of a JWT without exp', jwt({}), undefined],
    ['knows none of opaque text', 'T0KEN', undefined],
    ['knows none of opaque text with dots', 'T0.KEN.', undefined],
  ])('%s', (_, token, ms) => {
    expect(readJwtExpiry(token)).toBe(ms)
  })
})

describe('remainingSeconds', () => {
  const now = at('2030-01-01T00:00:00Z')

  it.each<[string, string, string, number | undefined]>([
    ['is a whole number, rounded down', 'T0KEN', '2030-01-01T00:01:00.999Z', 60],
    ['is never negative', 'T0KEN', '2029-12-31T23:59:59Z', 0],
    ['ends at the exp of a JWT, if that is earlier', jwt({ exp: now / 1000 + 30 }), '2030-01-01T00:01:00Z', 30],
    ['ends at expiresAt, if that is earlier', jwt({ exp: now / 1000 + 90 }), '2030-01-01T00:01:00Z', 60],
    ['reads epoch seconds', jwt({}), String(now / 1000 + 60), 60],
    ['is unknown if expiresAt is not readable', jwt({ exp: now / 1000 + 30 }), 'soon', undefined],
  ])('%s', (_, sessionToken, expiresAt, seconds) => {
    expect(remainingSeconds({ sessionToken, expiresAt, identity: 'user', scopes: [] }, now)).toBe(seconds)
  })

  it.each([NaN, -Infinity])('is unknown if the clock returns %s, because JSON has only null for it', nowMs => {
    const token = { sessionToken: 'T0KEN', expiresAt: '2030-01-01T00:01:00Z', identity: 'user', scopes: [] }
    expect(remainingSeconds(token, nowMs)).toBeUndefined()
  })
})
