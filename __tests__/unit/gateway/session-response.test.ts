import { describe, expect, it } from '@jest/globals'
import { Events, type VKitEvent } from '../../../lib/core/events.js'
import { VKitError } from '../../../lib/core/vkit-error.js'
import { parseSessionResponse } from '../../../lib/gateway/session-response.js'
import type { MintedToken } from '../../../lib/token/session-token.js'

const NOW = Date.parse('2030-01-01T00:00:00Z')
const HOUR = 3_600_000
const iso = (ms: number): string => new Date(ms).toISOString()

interface Case {
  readonly body?: Readonly<Record<string, unknown>>
  readonly dateMs?: number
  readonly identity?: string
  /** How long the request took by the wall clock. */
  readonly tookMs?: number
}

/** Parses the response to a request that began at NOW. */
function parse({ body = {}, dateMs, identity = 'user', tookMs = 100 }: Case): MintedToken & { events: VKitEvent[] } {
  const events: VKitEvent[] = []
  const response = { sessionToken: 'opaque', expiresAt: iso(NOW + HOUR), identity: 'user', ...body }
  const minted = parseSessionResponse(
    { body: response, dateMs },
    { identity, scopes: [] },
    {
      start: { wall: NOW, monotonic: 5_000 },
      end: { wall: NOW + tookMs, monotonic: 5_000 + Math.max(0, tookMs) },
      events: new Events(event => void events.push(event)),
    },
  )
  return { ...minted, events }
}

function failure(options: Case): VKitError {
  try {
    parse(options)
  } catch (error) {
    if (error instanceof VKitError) return error
  }
  throw new Error('expected a VKitError')
}

function jwt(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'HS256' })}.${part(claims)}.c2lnbmF0dXJl`
}

describe('the message of an invalid response', () => {
  const response = "The gateway's response has"

  it.each<[Readonly<Record<string, unknown>>, string]>([
    [{ sessionToken: '' }, `${response} no sessionToken.`],
    [{ sessionToken: 7 }, `${response} no sessionToken.`],
    [{ sessionToken: 'é' }, `${response} a sessionToken that is not printable ASCII.`],
    [{ sessionToken: 'x'.repeat(16 * 1024 + 1) }, `${response} a sessionToken of more than 16 KiB.`],
    [{ identity: 7 }, `${response} no identity.`],
    [{ identity: 'b' }, 'The gateway responded with a token for a different identity than the requested one.'],
    [{ expiresAt: null }, `${response} no expiry for the session token.`],
    [{ expiresAt: true }, `${response} no readable expiresAt.`],
    [{ expiresAt: 'x'.repeat(65) }, `${response} no readable expiresAt.`],
    [{ expiresAt: 'é' }, `${response} an expiresAt that is not printable ASCII.`],
    [{ expiresAt: iso(NOW) }, 'The gateway responded with a session token that has already expired.'],
  ])('with %j', (body, message) => {
    expect(failure({ body }).message).toBe(message)
  })

  it('does not exist for the longest token and the longest expiry', () => {
    const [sessionToken, expiresAt] = ['x'.repeat(16 * 1024), 'x'.repeat(64)]
    expect(parse({ body: { sessionToken, expiresAt } }).token).toMatchObject({ sessionToken, expiresAt })
  })
})

describe('the text of a token and its expiry', () => {
  it.each(['a\u001b[2Jb', 'a\u0000b', 'a\nb', 'a\u007fb', 'a\u009bb', 'a\u202eb', 'a\u2028b', 'aéb', 'a\ud83d\ude00b'])(
    'must be printable ASCII: %j',
    text => {
      for (const body of [{ sessionToken: text }, { expiresAt: text }]) {
        const error = failure({ body })
        expect(error).toMatchObject({ code: 'VKIT_INVALID_RESPONSE', retryable: false })
        expect(error.message).not.toContain(text)
      }
    },
  )

  it('may contain any printable character', () => {
    const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('')
    expect(parse({ body: { sessionToken: printable } }).token.sessionToken).toBe(printable)
    expect(parse({ body: { expiresAt: 'next Tuesday!' } }).token.expiresAt).toBe('next Tuesday!')
  })
})

describe('the expiry of a token', () => {
  it('is expiresAt if the token is opaque', () => {
    expect(parse({})).toMatchObject({
      token: { expiresAt: '2030-01-01T01:00:00.000Z' },
      lifetime: { start: { wall: NOW, monotonic: 5_000 }, ms: HOUR },
      events: [],
    })
  })

  it("is the JWT's exp if that is earlier, with an event", () => {
    const sessionToken = jwt({ exp: NOW / 1000 + 600 })
    const { token, lifetime, events } = parse({ body: { sessionToken } })
    expect(token.expiresAt).toBe('2030-01-01T00:10:00Z')
    expect(lifetime?.ms).toBe(600_000)
    expect(events).toEqual([{ type: 'expiry-mismatch', differenceMs: 3_000_000 }])
  })

  it("is expiresAt if the JWT's exp is later", () => {
    const { lifetime, events } = parse({ body: { sessionToken: jwt({ exp: NOW / 1000 + 7200 }) } })
    expect(lifetime?.ms).toBe(HOUR)
    expect(events).toEqual([])
  })

  it('emits an event if exp and expiresAt differ by a second, which is more than rounding', () => {
    const body = { sessionToken: jwt({ exp: NOW / 1000 + 600 }), expiresAt: iso(NOW + 600_999) }
    expect(parse({ body })).toMatchObject({ lifetime: { ms: 600_000 }, events: [] })
    const events = [{ type: 'expiry-mismatch', differenceMs: 1_000 }]
    expect(parse({ body: { ...body, expiresAt: iso(NOW + 601_000) } })).toMatchObject({ events })
  })

  it('keeps the text of expiresAt if exp is the same time', () => {
    const body = { sessionToken: jwt({ exp: NOW / 1000 + 600 }), expiresAt: '2030-01-01T00:10:00.000Z' }
    expect(parse({ body })).toMatchObject({ token: { expiresAt: body.expiresAt }, events: [] })
  })

  it.each([undefined, null, ''])("is the JWT's exp if expiresAt is %p", expiresAt => {
    const { token, lifetime } = parse({ body: { sessionToken: jwt({ exp: NOW / 1000 + 600 }), expiresAt } })
    expect(token.expiresAt).toBe('2030-01-01T00:10:00Z')
    expect(lifetime?.ms).toBe(600_000)
  })

  it.each([undefined, null, '', true, {}, ['2030-01-01T01:00:00Z']])(
    'is required if the token is opaque (expiresAt %p)',
    expiresAt => {
      expect(failure({ body: { expiresAt } })).toMatchObject({ code: 'VKIT_INVALID_RESPONSE', retryable: false })
    },
  )

  it.each([
    ['epoch seconds', NOW / 1000 + 600],
    ['epoch seconds as text', String(NOW / 1000 + 600)],
    ['epoch milliseconds', NOW + 600_000],
    ['epoch milliseconds as text', String(NOW + 600_000)],
    ['another zone', '2030-01-01T05:40:00+05:30'],
  ])('may be %s, and is returned as RFC 3339 in UTC', (_, expiresAt) => {
    const { token, lifetime } = parse({ body: { expiresAt } })
    expect(token.expiresAt).toBe('2030-01-01T00:10:00Z')
    expect(lifetime?.ms).toBe(600_000)
  })

  it.each(['tomorrow', '2030-01-01T01:00:00', '3600', '5', 3600, 1e300])(
    'is returned unchanged, and the token is not cached, if it is unreadable: %p',
    expiresAt => {
      const { token, lifetime, events } = parse({ body: { expiresAt } })
      expect(token).toMatchObject({ sessionToken: 'opaque', expiresAt: String(expiresAt) })
      expect(lifetime).toBeUndefined()
      expect(events).toEqual([{ type: 'unreadable-expiry' }])
    },
  )

  it.each([
    ['expiresAt', { expiresAt: iso(NOW - 1) }],
    ['expiresAt, during the request', { expiresAt: iso(NOW + 99) }],
    ['expiresAt, at the end of the request', { expiresAt: iso(NOW + 100) }],
    ['exp', { sessionToken: jwt({ exp: NOW / 1000 - 1 }) }],
    ['epoch seconds', { expiresAt: NOW / 1000 - 1 }],
  ])('makes the response invalid if it is in the past: %s', (_, body) => {
    expect(failure({ body })).toMatchObject({ code: 'VKIT_INVALID_RESPONSE', retryable: true })
  })

  it('may be the first millisecond after the request', () => {
    expect(parse({ body: { expiresAt: iso(NOW + 101) } }).lifetime?.ms).toBe(101)
  })

  it.each([NaN, 1e300, '600', null, {}])('ignores an exp that is not a time: %p', exp => {
    expect(parse({ body: { sessionToken: jwt({ exp }) } }).lifetime?.ms).toBe(HOUR)
  })

  it.each(['a.b.c', 'ey.ey.ey', `${jwt({ exp: 1 })}.more.parts`, 'x'.repeat(100)])(
    'treats a token that only looks like a JWT as opaque: %s',
    sessionToken => {
      expect(parse({ body: { sessionToken } }).lifetime?.ms).toBe(HOUR)
    },
  )
})

describe("the server's clock", () => {
  const TEN_MINUTES = 600_000

  it('equals the local clock if Date is a second that passed during the request', () => {
    expect(parse({ dateMs: NOW })).toMatchObject({ lifetime: { ms: HOUR }, events: [] })
    expect(parse({ dateMs: NOW, tookMs: 900 })).toMatchObject({ lifetime: { ms: HOUR }, events: [] })
    expect(parse({ dateMs: NOW + 2_000, tookMs: 2_500 })).toMatchObject({ lifetime: { ms: HOUR }, events: [] })
    expect(parse({ dateMs: NOW + 1_000, tookMs: 1_000 })).toMatchObject({ lifetime: { ms: HOUR }, events: [] })
  })

  it('is taken from Date, minus its resolution, if the local clock is ten minutes behind', () => {
    const { lifetime, events } = parse({
      dateMs: NOW + TEN_MINUTES,
      body: { expiresAt: iso(NOW + TEN_MINUTES + HOUR) },
    })
    expect(lifetime).toEqual({ start: { wall: NOW, monotonic: 5_000 }, ms: HOUR - 1_000 })
    expect(events).toEqual([{ type: 'clock-skew', skewMs: TEN_MINUTES - 100 }])
  })

  it('is taken from Date, so that the token is not expired, if the local clock is ten minutes ahead', () => {
    const { lifetime, events } = parse({ dateMs: NOW - TEN_MINUTES, body: { expiresAt: iso(NOW - TEN_MINUTES / 2) } })
    expect(lifetime?.ms).toBe(TEN_MINUTES / 2 - 1_000)
    expect(events).toEqual([{ type: 'clock-skew', skewMs: -(TEN_MINUTES - 1_000) }])
  })

  it('is reported as skewed from a second on, and used from a smaller difference on', () => {
    const skewed = (dateMs: number): unknown => {
      const { lifetime, events } = parse({ dateMs })
      return [lifetime?.ms, events]
    }
    expect(skewed(NOW + 1_000)).toEqual([HOUR - 2_000, []])
    expect(skewed(NOW + 1_100)).toEqual([HOUR - 2_100, [{ type: 'clock-skew', skewMs: 1_000 }]])
    expect(skewed(NOW - 1_999)).toEqual([HOUR + 999, []])
    expect(skewed(NOW - 2_000)).toEqual([HOUR + 1_000, [{ type: 'clock-skew', skewMs: -1_000 }]])
  })

  it('may be in the second that ended when the request began: a token that lasts longer has not expired', () => {
    const body = { expiresAt: iso(NOW + 50) }
    expect(parse({ dateMs: NOW - 1_000, body })).toMatchObject({ lifetime: { ms: 50 }, events: [] })
  })

  it('is reported as skewed if the local clock was set back during the request', () => {
    const events = [{ type: 'clock-skew', skewMs: -1_000 }]
    expect(parse({ dateMs: NOW - 2_000, tookMs: -2_000 })).toMatchObject({ lifetime: { ms: HOUR + 1_000 }, events })
  })

  it('is taken from Date only up to 24 h away', () => {
    const ahead = 24 * HOUR
    const body = { expiresAt: iso(NOW + ahead + HOUR) }
    expect(parse({ dateMs: NOW + 100 + ahead, body }).lifetime?.ms).toBe(HOUR - 1_100)
    expect(parse({ dateMs: NOW + 100 + ahead + 1, body })).toMatchObject({ lifetime: { ms: ahead + HOUR }, events: [] })
    expect(parse({ dateMs: NOW + 100 - ahead - 1 })).toMatchObject({ lifetime: { ms: HOUR }, events: [] })
  })

  it('equals the local clock without a usable Date', () => {
    expect(parse({})).toMatchObject({ lifetime: { ms: HOUR }, events: [] })
  })

  it('never lengthens the lifetime of a token, at any fraction of a second', () => {
    for (let fraction = 0; fraction < 1000; fraction += 37) {
      for (const skewMs of [-TEN_MINUTES, -1_500, -999, -1, 0, 1, 999, 1_500, TEN_MINUTES]) {
        // The server responds after 50 ms, and its clock is off by skewMs.
        const server = NOW + fraction + 50 + skewMs
        const trueLifetime = 10_000
        const start = { wall: NOW + fraction, monotonic: 0 }
        const { lifetime } = parseSessionResponse(
          {
            body: { sessionToken: 'opaque', identity: 'user', expiresAt: iso(server + trueLifetime) },
            dateMs: Math.floor(server / 1000) * 1000,
          },
          { identity: 'user', scopes: [] },
          { start, end: { wall: start.wall + 100, monotonic: 100 }, events: new Events() },
        )
        // Date has a resolution of one second, which hides a smaller skew.
        const unseen = Math.abs(skewMs) < 1_000 ? Math.max(0, skewMs) : 0
        expect(lifetime?.ms).toBeLessThanOrEqual(50 + trueLifetime + unseen)
      }
    }
  })
})

describe('the identity of a response', () => {
  it.each([
    ['another', 'user', 'other'],
    ['another case', 'user', 'User'],
    ['an extra space', 'user', 'user '],
    ['another Unicode form', 'é', 'e\u0301'],
    ['a look-alike', 'user', 'us\u0435r'],
    ['a prefix', 'user', 'use'],
    ['nothing', 'user', ''],
  ])('must equal the requested one byte for byte (%s)', (_, identity, received) => {
    const error = failure({ identity, body: { identity: received } })
    expect(error).toMatchObject({ code: 'VKIT_IDENTITY_MISMATCH', retryable: false })
    for (const value of [identity, received]) {
      if (value.length > 2) expect(error.message).not.toContain(`"${value}"`)
    }
  })

  it('does not appear in the error, and neither does the requested one', () => {
    const error = failure({ identity: 'alice@example.com', body: { identity: 'bob@example.com' } })
    expect(`${error.stack} ${JSON.stringify(error)}`).not.toMatch(/alice|bob|example/)
  })

  it.each([undefined, null, 7, {}, ['user']])('must be a string (%p)', identity => {
    expect(failure({ body: { identity } })).toMatchObject({ code: 'VKIT_INVALID_RESPONSE' })
  })
})

describe('the token of a response', () => {
  it.each([undefined, null, '', 7, {}, 'a\r\nb', 'a\0b', 'a\u007fb', 'x'.repeat(16 * 1024 + 1)])(
    'must be valid text for a header (%#)',
    sessionToken => {
      expect(failure({ body: { sessionToken } })).toMatchObject({ code: 'VKIT_INVALID_RESPONSE', retryable: false })
    },
  )

  it('is frozen, with the requested identity and scopes', () => {
    const { token } = parse({})
    expect(Object.isFrozen(token)).toBe(true)
    expect(token).toEqual({
      sessionToken: 'opaque',
      expiresAt: '2030-01-01T01:00:00.000Z',
      identity: 'user',
      scopes: [],
    })
  })

  it('is read only from own properties', () => {
    const body = Object.create({ sessionToken: 'opaque', identity: 'user', expiresAt: iso(NOW + HOUR) }) as object
    const ends = { start: { wall: NOW, monotonic: 0 }, end: { wall: NOW, monotonic: 0 }, events: new Events() }
    expect(() => parseSessionResponse({ body }, { identity: 'user', scopes: [] }, ends)).toThrow(/no sessionToken/)
  })
})
