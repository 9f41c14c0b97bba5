import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { VKitArgumentError, VKitConfigError } from '../../lib/core/errors.js'
import { Events } from '../../lib/core/events.js'
import { VKitError } from '../../lib/core/vkit-error.js'
import { networkError } from '../../lib/gateway/response-errors.js'
import { parseResponse, type RawResponse } from '../../lib/gateway/response.js'
import { parseSessionResponse } from '../../lib/gateway/session-response.js'
import { resolveCall, resolveRequest } from '../../lib/options/call-options.js'
import { resolveClientOptions } from '../../lib/options/client-options.js'
import { redact } from '../../lib/secret/redact.js'
import { assertNoSecret } from '../../lib/testing/index.js'
import type { MintedToken } from '../../lib/token/session-token.js'
import type { TokenCall, TokenRequest } from '../../lib/token/token-request.js'

const NOW = Date.UTC(2030, 0, 1)
const BODY_LIMIT = 64 * 1024

type Outcome<T> = { readonly result: T } | { readonly error: unknown }

function attempt<T>(run: () => T): Outcome<T> {
  try {
    return { result: run() }
  } catch (error) {
    return { error }
  }
}

const fail = (): never => {
  throw new Error('sk-the-app-secret')
}

/** Getters that throw, traps that throw, a cycle, and other values that are not plain. */
const hostile: readonly unknown[] = [
  Object.defineProperty({}, 'scopes', { enumerable: true, get: fail }),
  Object.defineProperty({}, 'get', { get: fail }),
  Object.defineProperty([], 0, { get: fail }),
  new Proxy({}, { ownKeys: fail }),
  new Proxy([], { ownKeys: fail, getOwnPropertyDescriptor: fail }),
  Object.defineProperty({}, 'self', {
    enumerable: true,
    get(): unknown {
      return this
    },
  }),
  Object.assign(new Error('any'), { code: 'ECONNRESET' }),
  fail,
  Symbol('any'),
]

/** Creates a revoked proxy inside a test, because fast-check inspects the values that it generates. */
function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

const anything = fc.oneof(
  { weight: 4, arbitrary: fc.anything({ withNullPrototype: true, withSparseArray: true, withBigInt: true }) },
  fc.constantFrom(...hostile),
)

const jwtPart = fc.base64String({ minLength: 24, maxLength: 60 }).map(text => text.replace(/[+/=]/g, '_'))
const secrets = fc.oneof(
  fc.tuple(jwtPart, jwtPart, jwtPart).map(parts => `eyJ${parts.join('.')}`),
  fc.uuid(),
  fc.stringMatching(/^[!-~]{24,60}$/).map(text => `sk-${text}`),
)

/** Ways in which a gateway or a proxy may repeat the secret in a response. */
const spellings = fc.constantFrom<(secret: string) => string>(
  secret => secret,
  secret => Buffer.from(secret).toString('base64'),
  secret => Buffer.from(secret).toString('base64url'),
  secret => Buffer.from(`app:${secret}`).toString('base64'),
  secret => Buffer.from(secret).toString('hex'),
  secret => encodeURIComponent(secret),
  secret => JSON.stringify(secret),
  secret => secret.split('').join(' '),
  secret => secret.split('').join('\u200b'),
  secret => `${secret.slice(0, 10)}\r\n${secret.slice(10)}`,
)

const repeated = fc.record({ secret: secrets, spelling: spellings, before: fc.string(), after: fc.string() })
const textOf = ({
  secret,
  spelling,
  before,
  after,
}: typeof repeated extends fc.Arbitrary<infer R> ? R : never): string => `${before} ${spelling(secret)} ${after}`

describe('redact', () => {
  it('removes every spelling of the secret from any text, and returns one line of at most 301 characters', () => {
    fc.assert(
      fc.property(repeated, given => {
        const clean = redact(textOf(given), given.secret)
        assertNoSecret(clean, given.secret)
        expect(clean.length).toBeLessThanOrEqual(301)
        // eslint-disable-next-line no-control-regex
        expect(clean).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/)
      }),
      { numRuns: 200 },
    )
  })

  it('accepts any text and any secret', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.stringMatching(/^[!-~]+$/), (text, secret) => {
        expect(typeof redact(text, secret)).toBe('string')
      }),
      { numRuns: 200 },
    )
  })
})

const PLACE = 'https://gateway.video.io:443/v1/sessions'
const EVENTS = new Events()
const START = { wall: NOW, monotonic: 0 }
const END = { wall: NOW + 100, monotonic: 100 }

function mintFrom(raw: RawResponse, secret: string): MintedToken {
  const request = { identity: 'user', scopes: [] }
  return parseSessionResponse(
    parseResponse(raw, { secret, identity: 'user', place: () => PLACE, nowMs: NOW }),
    request,
    {
      start: START,
      end: END,
      events: EVENTS,
    },
  )
}

function expectTokenOrSafeError(raw: RawResponse, secret: string): void {
  const outcome = attempt(() => mintFrom(raw, secret))
  if ('result' in outcome) {
    const { token, lifetime } = outcome.result
    expect(token.identity).toBe('user')
    expect(token.sessionToken).not.toBe('')
    expect(lifetime === undefined || lifetime.ms > -2_000).toBe(true)
    return
  }
  expect(outcome.error).toBeInstanceOf(VKitError)
  assertNoSecret(outcome.error, secret)
}

const statuses = fc.oneof(
  fc.constantFrom(200, 201, 400, 401, 403, 404, 429, 500, 503),
  fc.integer({ min: -1, max: 1000 }),
)
const headerNames = fc.constantFrom(
  'date',
  'age',
  'retry-after',
  'x-request-id',
  'request-id',
  'content-encoding',
  '__proto__',
)

function headersOf(values: fc.Arbitrary<string | string[] | undefined>): fc.Arbitrary<RawResponse['headers']> {
  return fc.array(fc.tuple(headerNames, values), { maxLength: 4 }).map(entries => Object.fromEntries(entries))
}

const anyHeader = fc.oneof(fc.string(), fc.uuid(), fc.array(fc.string()), fc.constant(undefined))
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

describe('the response parser', () => {
  it('returns a token or throws a VKitError without the secret for any bytes', () => {
    const bodies = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes)),
      fc.string().map(text => Buffer.from(text)),
    )
    fc.assert(
      fc.property(statuses, headersOf(anyHeader), bodies, secrets, (status, headers, bytes, secret) => {
        expectTokenOrSafeError({ status, headers, bytes }, secret)
      }),
      { numRuns: 200 },
    )
  })

  it('returns a token or throws a VKitError without the secret for any JSON', () => {
    fc.assert(
      fc.property(statuses, headersOf(anyHeader), fc.jsonValue(), secrets, (status, headers, value, secret) => {
        expectTokenOrSafeError({ status, headers, bytes: json(value) }, secret)
      }),
      { numRuns: 200 },
    )
  })

  it('returns a token or throws a VKitError for responses that are almost valid', () => {
    const almost = fc.record(
      {
        sessionToken: fc.oneof(fc.constant('opaque'), fc.string(), fc.jsonValue()),
        identity: fc.oneof({ weight: 4, arbitrary: fc.constant('user') }, fc.jsonValue()),
        expiresAt: fc.oneof(
          fc.date({ noInvalidDate: true }).map(date => date.toISOString()),
          fc.double(),
          fc.string(),
          fc.jsonValue(),
        ),
        error: fc.oneof(fc.constant(null), fc.jsonValue()),
      },
      { requiredKeys: ['sessionToken', 'identity'] },
    )
    fc.assert(
      fc.property(fc.constantFrom(200, 201), headersOf(anyHeader), almost, secrets, (status, headers, body, secret) => {
        expectTokenOrSafeError({ status, headers, bytes: json(body) }, secret)
      }),
      { numRuns: 200 },
    )
  })

  it('does not show a secret that the response repeats, in any spelling and place', () => {
    const places = fc.constantFrom(
      'error',
      'code',
      'message',
      'detail',
      'identity',
      'sessionToken',
      'expiresAt',
      'header',
    )
    fc.assert(
      fc.property(statuses, repeated, places, fc.boolean(), (status, given, place, bare) => {
        const text = bare ? given.spelling(given.secret) : textOf(given)
        const error = place === 'error' ? text : { [place]: text }
        const body = { error, identity: text, sessionToken: 'opaque', expiresAt: text }
        const headers = {
          'x-request-id': text,
          'retry-after': text,
          date: text,
          'content-encoding': place === 'header' ? text : undefined,
        }
        const outcome = attempt(() => mintFrom({ status, headers, bytes: json(body) }, given.secret))
        expect(outcome).toHaveProperty('error', expect.any(VKitError))
        assertNoSecret(outcome, given.secret)
      }),
      { numRuns: 200 },
    )
  })

  it.each([
    ['nested arrays', '['.repeat(BODY_LIMIT)],
    ['nested objects', '{"error":'.repeat(BODY_LIMIT / 9)],
    ['a number of 64 Ki digits', '9'.repeat(BODY_LIMIT)],
    ['an error of one long word', JSON.stringify({ error: 'a'.repeat(BODY_LIMIT) })],
    [
      'an error of words just too short to be redacted',
      JSON.stringify({ error: `${'a'.repeat(31)}!`.repeat(BODY_LIMIT / 32) }),
    ],
    ['an error of line breaks', JSON.stringify({ error: '\u2028'.repeat(BODY_LIMIT / 3) })],
    [
      'an error of text that begins like the secret',
      JSON.stringify({ error: 'sk-the-app-secre'.repeat(BODY_LIMIT / 16) }),
    ],
    ['a token of dots', JSON.stringify({ identity: 'user', sessionToken: '.'.repeat(BODY_LIMIT) })],
    [
      'an expiry of 64 Ki digits',
      JSON.stringify({ identity: 'user', sessionToken: 'opaque', expiresAt: '1'.repeat(BODY_LIMIT) }),
    ],
  ])('does not hang on %s', (_, text) => {
    for (const status of [200, 400, 503]) {
      const raw = { status, headers: { 'retry-after': '1'.repeat(16_000) }, bytes: Buffer.from(text) }
      expect(attempt(() => mintFrom(raw, 'sk-the-app-secret'))).toHaveProperty('error', expect.any(VKitError))
    }
  })
})

describe('networkError', () => {
  it('returns a VKitError even for a revoked proxy', () => {
    expect(networkError(revoked(), PLACE)).toBeInstanceOf(VKitError)
  })

  it('returns a VKitError without the secret for any thrown value', () => {
    const thrown = fc.oneof(
      anything,
      fc.tuple(fc.anything(), fc.anything()).map(([code, name]) => ({ code, name })),
      fc
        .constantFrom('HPE_HEADER_OVERFLOW', 'HPE_INVALID_CONSTANT', 'CERT_HAS_EXPIRED', 'EPROTO')
        .map(code => ({ code })),
    )
    fc.assert(
      fc.property(thrown, value => expect(networkError(value, PLACE)).toBeInstanceOf(VKitError)),
      { numRuns: 200 },
    )
    fc.assert(
      fc.property(repeated, given => {
        const text = textOf(given)
        const error = Object.assign(new Error(text), { code: text, options: { headers: { authorization: text } } })
        error.name = text
        assertNoSecret(networkError(error, PLACE), given.secret)
      }),
      { numRuns: 200 },
    )
  })
})

function expectSafe(error: unknown, errorClass: typeof VKitConfigError | typeof VKitArgumentError): void {
  expect(error).toBeInstanceOf(errorClass)
  expect(String((error as Error).stack)).not.toContain('sk-the-app-secret')
}

const method = (): undefined => undefined

/** A valid value, or any other value. */
const orAnything = (...valid: unknown[]): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...valid) }, fc.double(), fc.string(), anything)

describe('the options of the client', () => {
  const cache = fc.oneof(
    anything,
    fc.constant(false),
    fc.record(
      {
        maxEntries: orAnything(10),
        refreshAhead: orAnything(0.5, 1),
        minValidityMs: orAnything(0, 60_000),
        store: orAnything({ get: method, set: method, delete: method }),
      },
      { requiredKeys: [] },
    ),
  )
  const options = fc.record(
    {
      appSecret: orAnything('sk-the-app-secret', method),
      baseUrl: orAnything('https://gateway.video.io', 'http://127.0.0.1:1', new URL('https://gateway.video.io')),
      timeoutMs: orAnything(5_000),
      deadlineMs: orAnything(15_000),
      maxRetries: orAnything(0, 2),
      cache,
      agent: orAnything({}, { http: { addRequest: method } }),
      onEvent: orAnything(method),
      clock: orAnything({ now: method, monotonic: method, sleep: method }),
    },
    { requiredKeys: [] },
  )

  it('are accepted, or refused with a VKitConfigError, for any value', () => {
    fc.assert(
      fc.property(fc.oneof(anything, options), given => {
        const outcome = attempt(() => resolveClientOptions(given as object))
        if ('error' in outcome) return expectSafe(outcome.error, VKitConfigError)
        const { timeoutMs, maxEntries, refreshAhead, endpoint } = outcome.result
        expect(timeoutMs > 0 && maxEntries >= 1 && refreshAhead > 0 && refreshAhead <= 1).toBe(true)
        expect(['https:', 'http:']).toContain(endpoint().protocol)
      }),
      { numRuns: 200 },
    )
  })

  it('are refused with a VKitConfigError if they cannot be read', () => {
    for (const given of [revoked(), { cache: revoked() }, { clock: revoked() }, { baseUrl: revoked() }]) {
      expect(() => resolveClientOptions(given)).toThrow(VKitConfigError)
    }
  })

  it('are refused without showing a secret in the wrong place', () => {
    const keys = fc.constantFrom(
      'appSecret',
      'baseUrl',
      'timeoutMs',
      'cache',
      'agent',
      'onEvent',
      'clock',
      'token',
      undefined,
    )
    fc.assert(
      fc.property(keys, secrets, fc.boolean(), (key, secret, inCache) => {
        const option = { [key ?? secret]: `${secret} ` }
        const outcome = attempt(() => resolveClientOptions((inCache ? { cache: option } : option) as object))
        expect(outcome).toHaveProperty('error', expect.any(VKitConfigError))
        assertNoSecret(outcome, secret)
      }),
      { numRuns: 200 },
    )
  })
})

describe('the arguments of a call', () => {
  const options = fc.record(
    {
      scopes: fc.oneof(fc.array(fc.string({ unit: 'binary' })), fc.array(anything), anything),
      signal: orAnything(new AbortController().signal),
      cache: orAnything('default', 'reload', 'no-store'),
      deadlineMs: orAnything(1_000),
      timeoutMs: orAnything(1_000),
      maxRetries: orAnything(0),
      minValidityMs: orAnything(0),
    },
    { requiredKeys: [] },
  )
  const identities = fc.oneof(fc.string({ minLength: 1, unit: 'binary' }), anything)
  const resolve = (identity: unknown, given: unknown): { request: TokenRequest; call: TokenCall } => {
    const call = resolveCall(given, { caching: true, deadlineMs: 15_000, timeoutMs: 5_000, maxRetries: 2 })
    return { request: resolveRequest(identity, call.scopes), call }
  }

  it('are refused with a VKitArgumentError if they cannot be read', () => {
    for (const given of [revoked(), { scopes: revoked() }, { signal: revoked() }]) {
      expect(() => resolve('user', given)).toThrow(VKitArgumentError)
    }
  })

  it('are accepted, or refused with a VKitArgumentError, for any value', () => {
    const scopesOrOptions = fc.oneof(options, fc.array(fc.string()), anything)
    fc.assert(
      fc.property(identities, scopesOrOptions, (identity, given) => {
        const outcome = attempt(() => resolve(identity, given))
        if ('error' in outcome) return expectSafe(outcome.error, VKitArgumentError)
        const { request, call } = outcome.result
        expect(request.identity).toBe(identity)
        expect(request.scopes).toEqual([...new Set(request.scopes)].sort())
        expect(JSON.parse(JSON.stringify(request))).toEqual(request)
        expect(call.deadlineMs).toBeGreaterThan(0)
        if (call.limits) expect(call.limits.timeoutMs).toBeGreaterThan(0)
        if (call.limits) expect(call.limits.maxRetries).toBeGreaterThanOrEqual(0)
      }),
      { numRuns: 200 },
    )
  })
})
