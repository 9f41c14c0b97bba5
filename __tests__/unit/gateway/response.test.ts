import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { parseRetryAfter, parseResponse } from '../../../lib/gateway/response.js'

const SECRET = '1b4e28ba-2fa1-41d2-883f-0016d3cca427'

const IDENTITY = 'User-42-of-acme'
const TOKEN = 'a-short-session-token'

function requestIdOf(id: string, status: number, identity = IDENTITY): unknown {
  try {
    const raw = { status, headers: { 'x-request-id': id }, bytes: Buffer.from(JSON.stringify({ sessionToken: TOKEN })) }
    return parseResponse(raw, { secret: SECRET, identity, place: () => 'the gateway', nowMs: 0 }).requestId
  } catch (error) {
    return (error as { requestId?: string }).requestId
  }
}

describe.each([
  ['an error', 400],
  ['a success', 200],
])('the requestId of %s', (_, status) => {
  it.each(['req_42', 'a:b.c-d', '9f1c2a34-0000-4000-8000-00000000abcd'])(
    'is the x-request-id of the response: %s',
    id => {
      expect(requestIdOf(id, status)).toBe(id)
    },
  )

  it.each([
    ['the secret, which may be a UUID', SECRET],
    ['the secret in capitals', SECRET.toUpperCase()],
    ['a fragment of the secret', `id-${SECRET.slice(5, 17)}`],
    ['a long opaque text, which may be the secret encoded', 'a'.repeat(40)],
    ['the identity', IDENTITY],
    ['a text with the identity in other case', `req:${IDENTITY.toUpperCase()}:7`],
    ['a long part of the identity', IDENTITY.slice(3)],
    ['text that does not look like an id', 'two words'],
    ['longer than any id', 'ab:'.repeat(30)],
  ])('is missing if the header is %s', (_, id) => {
    expect(requestIdOf(id, status)).toBeUndefined()
  })

  it('may contain a short identity by chance', () => {
    expect(requestIdOf('req_42', status, '42')).toBe('req_42')
    expect(requestIdOf('42', status, '42')).toBeUndefined()
  })
})

it('the requestId of a success is missing if it shows the session token', () => {
  for (const id of [TOKEN, `t:${TOKEN}`, TOKEN.slice(2, 16)]) expect(requestIdOf(id, 200)).toBeUndefined()
})

const YEAR_MS = 365 * 24 * 3600_000
const NOW = Date.UTC(2030, 0, 1)

describe('parseRetryAfter', () => {
  it.each([
    ['whole seconds', '120', 120_000],
    ['a date, relative to the date of the server', 'Tue, 01 Jan 2030 00:00:30 GMT', 30_000],
    ['seconds, up to a year', '9'.repeat(400), YEAR_MS],
    ['a date, up to a year', 'Fri, 01 Jan 2055 00:00:00 GMT', YEAR_MS],
  ])('reads %s', (_, text, ms) => {
    expect(parseRetryAfter(text, NOW)).toBe(ms)
  })

  it.each([
    ['no header', undefined],
    ['zero', '0'],
    ['a sign', '-5'],
    ['a fraction', '1.5'],
    ['an exponent', '1e3'],
    ['a unit', '5s'],
    ['two values', '5, 10'],
    ['the current time', 'Tue, 01 Jan 2030 00:00:00 GMT'],
    ['a time in the past', 'Mon, 31 Dec 2029 23:59:59 GMT'],
    ['an invalid date', 'Tue, 99 Jan 2030 99:99:99 GMT'],
  ])('returns undefined for %s', (_, text) => {
    expect(parseRetryAfter(text, NOW)).toBeUndefined()
  })

  it('returns undefined, or a positive number of milliseconds up to a year, for any text', () => {
    const text = fc.oneof(
      fc.string(),
      fc.bigInt({ min: 0n }).map(String),
      fc.double().map(String),
      fc.date({ noInvalidDate: true }).map(date => date.toUTCString()),
    )
    fc.assert(
      fc.property(text, fc.integer({ min: 0, max: 8.64e15 }), (header, nowMs) => {
        const ms = parseRetryAfter(header, nowMs)
        expect(ms === undefined || (ms > 0 && ms <= YEAR_MS)).toBe(true)
      }),
      { numRuns: 500 },
    )
  })
})
