import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { VKitError } from '../../../lib/core/vkit-error.js'
import { parseRetryAfter, parseResponse, type GatewayResponse } from '../../../lib/gateway/response.js'

const SECRET = '1b4e28ba-2fa1-41d2-883f-0016d3cca427'

const IDENTITY = 'User-42-of-acme'
const TOKEN = 'a-short-session-token'
const UUID = '9f1c2a34-0000-4000-8000-00000000abcd'

const PLACE = 'https://gateway.example:443/v1/sessions'
const DATE = 'Tue, 01 Jan 2030 00:00:00 GMT'

interface Response {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string | string[]>>
  /** Text, bytes, or what is sent as JSON. */
  readonly body?: unknown
  readonly secret?: string
}

function parse({ status = 200, headers = {}, body = {}, secret = SECRET }: Response): GatewayResponse {
  const bytes = body instanceof Uint8Array ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  const nowMs = Date.parse('2030-01-01T00:10:00Z')
  return parseResponse({ status, headers, bytes }, { secret, identity: IDENTITY, place: () => PLACE, nowMs })
}

function failureOf(response: Response): unknown {
  try {
    return parse(response)
  } catch (error) {
    return error
  }
}

describe('a response with a JSON object', () => {
  it.each([200, 201])('and status %i is a success', status => {
    const body = { sessionToken: TOKEN, error: null }
    const headers = { 'request-id': 'req_42', date: DATE, 'content-encoding': 'identity' }
    const dateMs = Date.parse('2030-01-01T00:00:00Z')
    expect(parse({ status, headers, body })).toEqual({ status, requestId: 'req_42', body, dateMs })
  })

  it.each(['error', 'message'])('is a success although Object.prototype has the property %s', name => {
    Object.defineProperty(Object.prototype, name, { value: 'polluted', configurable: true })
    try {
      expect(parse({})).toMatchObject({ status: 200 })
    } finally {
      Reflect.deleteProperty(Object.prototype, name)
    }
  })

  it('has no date if a cache stored it', () => {
    expect(parse({ headers: { date: DATE, age: '0' } }).dateMs).toBeUndefined()
  })

  it('is refused if what goes on to the end user contains the app secret', () => {
    const message = `${PLACE} sent the app secret back.`
    for (const name of ['sessionToken', 'expiresAt']) {
      const body = { sessionToken: TOKEN, expiresAt: '2040', [name]: `a ${SECRET}` }
      expect(failureOf({ body })).toMatchObject({ code: 'VKIT_INVALID_RESPONSE', status: 200, message })
    }
    const [secret, chance] = ['twelve-chars', 'eleven-char']
    expect(failureOf({ body: { sessionToken: secret }, secret })).toMatchObject({ message })
    expect(parse({ body: { sessionToken: chance }, secret: chance }).status).toBe(200)
    expect(parse({ body: { sessionToken: TOKEN, identity: SECRET, expiresAt: [SECRET] } }).status).toBe(200)
  })
})

describe('the message of a failure', () => {
  it.each<[string, Response, object]>([
    [
      'not in JSON',
      { body: '<html>' },
      { message: 'The gateway responded with a body that is not JSON.', retryable: true },
    ],
    ['empty', { body: '' }, { message: 'The gateway responded with an empty body.' }],
    [
      'not in UTF-8',
      { body: Uint8Array.of(0x22, 0xff, 0x22) },
      { message: 'The gateway responded with invalid UTF-8.' },
    ],
    ...['7', 'null', '[]', '"text"'].map((body): [string, Response, object] => [
      `the JSON ${body}`,
      { body },
      { message: 'The gateway responded with JSON that is not an object.' },
    ]),
    [
      'compressed',
      { headers: { 'content-encoding': 'gzip' } },
      { message: 'The gateway responded with an unrequested content encoding.' },
    ],
    ['a 204', { status: 204 }, { status: 204, message: `${PLACE} responded with 204.` }],
    ['a 299', { status: 299 }, { status: 299, message: `${PLACE} responded with 299.` }],
    ...[300, 399].map((status): [string, Response, object] => [
      `a ${status}`,
      { status },
      {
        ...{ code: 'VKIT_REDIRECT', status },
        message: `${PLACE} responded with ${status}, a redirect, which the client does not follow. Check baseUrl.`,
      },
    ]),
  ])('describes a response that is %s', (_, response, expected) => {
    const details = { status: 200, requestId: 'req_42', retryAfterMs: 7_000, retryable: false }
    const headers = { 'x-request-id': 'req_42', 'retry-after': '7', ...response.headers }
    const error = failureOf({ ...response, headers })
    expect(error).toMatchObject({ code: 'VKIT_INVALID_RESPONSE', ...details, ...expected })
  })

  it.each<[unknown, string]>([
    ['no user', ': no user.'],
    ['No user!', ': No user!'],
    ['Why? No user', ': Why? No user.'],
    [' ', '.'],
    [7, '.'],
    [true, '.'],
    [['no user'], '.'],
    [{ reason: 'no user' }, '.'],
    [{ message: { text: 'no user' } }, '.'],
    [{ description: 'e', detail: 'd', message: 'c', type: 'b', code: 'a' }, ': a – b – c – d – e.'],
    [{ code: 42, type: '', message: 'no user' }, ': 42 – no user.'],
    [`the secret is ${SECRET}`, ': the secret is [redacted].'],
  ])('includes the error %j of the response', (error, shown) => {
    const [ok, refused] = [failureOf({ body: { error } }), failureOf({ status: 400, body: { error } })]
    expect(ok).toMatchObject({ code: 'VKIT_INVALID_REQUEST', message: `${PLACE} refused the request${shown}` })
    expect(refused).toMatchObject({
      code: 'VKIT_INVALID_REQUEST',
      message: `${PLACE} refused the request (400)${shown}`,
    })
  })

  it('includes no other text of the response', () => {
    for (const body of ['<h1>no user</h1>', { message: 'no user' }, '']) {
      expect(failureOf({ status: 400, body })).toMatchObject({ message: `${PLACE} refused the request (400).` })
    }
    const message = `${PLACE} responded with 403, but not in the gateway's format. The response may come from a proxy or a firewall.`
    const compressed = { status: 403, body: { error: 'no user' }, headers: { 'content-encoding': 'gzip' } }
    expect(failureOf(compressed)).toMatchObject({ code: 'VKIT_INVALID_RESPONSE', message })
  })
})

it('a Retry-After with a date is relative to the date of the response, or to the local clock without one', () => {
  const headers = { 'retry-after': 'Tue, 01 Jan 2030 00:11:00 GMT' }
  expect(failureOf({ status: 503, headers: { ...headers, date: DATE } })).toMatchObject({ retryAfterMs: 660_000 })
  expect(failureOf({ status: 503, headers })).toMatchObject({ retryAfterMs: 60_000 })
})

function requestIdOf(id: string | string[], status: number, identity = IDENTITY): unknown {
  try {
    const raw = { status, headers: { 'x-request-id': id }, bytes: Buffer.from(JSON.stringify({ sessionToken: TOKEN })) }
    return parseResponse(raw, { secret: SECRET, identity, place: () => 'the gateway', nowMs: 0 }).requestId
  } catch (error) {
    if (VKitError.is(error)) return error.requestId
    throw error
  }
}

describe.each([
  ['an error', 400],
  ['a success', 200],
])('the requestId of %s', (_, status) => {
  it.each(['req_42', 'a:b.c-d', UUID, UUID.toUpperCase()])('is the x-request-id of the response: %s', id => {
    expect(requestIdOf(id, status)).toBe(id)
  })

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
    ['a UUID after other text', `req.${UUID}`],
    ['a UUID before other text', `${UUID}.req`],
    ['a list', ['req_42']],
  ])('is missing if the header is %s', (_, id) => {
    expect(requestIdOf(id, status)).toBeUndefined()
  })

  it('may contain a short identity by chance, or be contained in one', () => {
    expect(requestIdOf('req_42', status, '42')).toBe('req_42')
    expect(requestIdOf('42', status, '42')).toBeUndefined()
    expect(requestIdOf('42', status)).toBe('42')
    expect(requestIdOf('req:anna:7', status, 'anna')).toBeUndefined()
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
