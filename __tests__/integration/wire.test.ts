import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import nock from 'nock'
import manifest from '../../package.json' with { type: 'json' }
import {
  VKitClient,
  type GetSessionTokenOptions,
  type SessionToken,
  type VKitClientOptions,
  type VKitEvent,
} from '../../lib/index.js'
import { FakeClock } from '../../lib/testing/index.js'
import { failureOf } from '../support/failure.js'
import { afterThisTest } from '../support/gateway.js'
import { respondWithToken, startRecordingServer } from '../support/recording-server.js'

const GATEWAY = 'https://gateway.video.io'
const SECRET = 'sk-THE-APP-SECRET'
const USER_AGENT = `videokit-nodejs/${manifest.version} node/${process.versions.node.split('.')[0]}`
/** An hour after the start of `FakeClock`. */
const TOKEN = { sessionToken: 'opaque-token', expiresAt: '2030-01-01T01:00:00Z', identity: 'user' }
const EXPIRY_MS = Date.parse(TOKEN.expiresAt)

interface Sent {
  readonly method: string
  readonly path: string
  readonly headers: Record<string, unknown>
  readonly body: string
}

beforeEach(() => {
  delete process.env['VKIT_BASE_URL']
  if (!nock.isActive()) nock.activate()
  nock.disableNetConnect()
})

afterEach(() => {
  nock.cleanAll()
  nock.enableNetConnect()
  nock.restore()
})

/** A client that does not wait between attempts. */
function makeClient(options: VKitClientOptions = {}): VKitClient {
  const clock = new FakeClock()
  const onEvent = (event: VKitEvent): void => {
    if (event.type === 'retry') void clock.advance(event.delayMs)
  }
  const client = new VKitClient({ appSecret: SECRET, clock, onEvent, ...options })
  afterThisTest(() => client.close())
  return client
}

/** Records every request that matches `scope`. */
function recordSent(scope: nock.Scope): Sent[] {
  const sent: Sent[] = []
  scope.on('request', ({ method, path, headers }: Omit<Sent, 'body'>, _, body: string) => {
    sent.push({ method, path, headers: { ...headers }, body })
  })
  return sent
}

/** Responds to every mint in the same way. */
function replyAlways(status: number, body: nock.Body, headers?: nock.ReplyHeaders): Sent[] {
  return recordSent(nock(GATEWAY).persist().post('/v1/sessions').reply(status, body, headers))
}

function expectedHeaders(body: string, host = 'gateway.video.io'): Record<string, string> {
  return {
    host,
    'content-type': 'application/json',
    accept: 'application/json',
    'accept-encoding': 'identity',
    'content-length': String(Buffer.byteLength(body)),
    'user-agent': USER_AGENT,
    authorization: `Bearer ${SECRET}`,
    connection: 'close', // nock's own agent reuses no connection; the tests below check the bytes on a real one.
  }
}

describe('the request', () => {
  it('goes to the default base URL with these headers and no others', async () => {
    const sent = replyAlways(200, TOKEN)
    await makeClient().getSessionToken('user')
    const body = '{"identity":"user","scopes":[]}'
    expect(sent).toEqual([{ method: 'POST', path: '/v1/sessions', headers: expectedHeaders(body), body }])
  })

  it.each(['https://eu.example/video/api', 'https://eu.example:8443/video/api/'])(
    'keeps the path of %s',
    async base => {
      const { origin, host } = new URL(base)
      const sent = recordSent(nock(origin).post('/video/api/v1/sessions').reply(200, TOKEN))
      await makeClient({ baseUrl: base }).getSessionToken('user')
      expect(sent.map(({ path }) => path)).toEqual(['/video/api/v1/sessions'])
      expect(sent[0]?.headers['host']).toBe(host)
    },
  )

  it.each<[string, string, GetSessionTokenOptions | string[], string]>([
    ['quotes and a backslash', 'a"b\\c', {}, '{"identity":"a\\"b\\\\c","scopes":[]}'],
    ['an emoji', 'user-😀', {}, '{"identity":"user-😀","scopes":[]}'],
    ['letters outside ASCII', 'Zoë Ångström 東京', {}, '{"identity":"Zoë Ångström 東京","scopes":[]}'],
    ['a line break and a control character', 'a\nb\u0001', {}, '{"identity":"a\\nb\\u0001","scopes":[]}'],
    ['an e-mail address', 'a+b@example.com', {}, '{"identity":"a+b@example.com","scopes":[]}'],
    ['scopes as an array', 'user', ['videos.read'], '{"identity":"user","scopes":["videos.read"]}'],
    ['scopes, sorted and each once', 'user', { scopes: ['b', 'a', 'b'] }, '{"identity":"user","scopes":["a","b"]}'],
    ['an empty array of scopes', 'user', { scopes: [] }, '{"identity":"user","scopes":[]}'],
  ])('has exactly this body for %s', async (_, identity, options, body) => {
    const sent = replyAlways(200, { ...TOKEN, identity })
    await makeClient().getSessionToken(identity, options as string[])
    expect(sent.map(each => each.body)).toEqual([body])
    expect(sent[0]?.headers['content-length']).toBe(String(Buffer.byteLength(body)))
  })

  it('is the same on a retry', async () => {
    const scope = nock(GATEWAY).post('/v1/sessions').reply(503).post('/v1/sessions').reply(200, TOKEN)
    const sent = recordSent(scope)
    await makeClient().getSessionToken('user', ['videos.read'])
    expect(sent).toHaveLength(2)
    expect(sent[1]).toEqual(sent[0])
  })

  it('differs only in its bearer after a 401 and a new secret', async () => {
    const scope = nock(GATEWAY).post('/v1/sessions').reply(401, { error: 'expired' })
    const sent = recordSent(scope.post('/v1/sessions').reply(200, TOKEN))
    const secrets = ['sk-THE-OLD-SECRET', 'sk-THE-NEW-SECRET']
    await makeClient({ appSecret: () => secrets.shift() ?? '' }).getSessionToken('user')
    expect(sent.map(({ headers }) => headers['authorization'])).toEqual([
      'Bearer sk-THE-OLD-SECRET',
      'Bearer sk-THE-NEW-SECRET',
    ])
    const [first, second] = sent.map(each => ({ ...each, headers: { ...each.headers, authorization: '' } }))
    expect(second).toEqual(first)
  })
})

describe('the bytes on a connection', () => {
  beforeEach(() => nock.restore())

  const message = (port: number, identity: string): string => {
    const body = JSON.stringify({ identity, scopes: [] })
    const lines = [
      'POST /v1/sessions HTTP/1.1',
      'content-type: application/json',
      'accept: application/json',
      'accept-encoding: identity',
      `content-length: ${body.length}`,
      `user-agent: ${USER_AGENT}`,
      `Host: 127.0.0.1:${port}`,
      `authorization: Bearer ${SECRET}`,
      'Connection: keep-alive',
    ]
    return `${lines.join('\r\n')}\r\n\r\n${body}`
  }

  it('are one request after the other, with nothing in between', async () => {
    const server = await startRecordingServer()
    const client = makeClient({ baseUrl: `http://127.0.0.1:${server.port}` })
    await client.getSessionToken('first')
    await client.getSessionToken('second')
    expect(server.connections).toEqual([message(server.port, 'first') + message(server.port, 'second')])
  })

  it('are the same when a request is sent again because a reused connection was closed', async () => {
    const server = await startRecordingServer()
    const client = makeClient({ baseUrl: `http://127.0.0.1:${server.port}` })
    await client.getSessionToken('first')
    server.respond = socket => {
      server.respond = respondWithToken
      socket.destroy()
    }
    await client.getSessionToken('second')
    const second = message(server.port, 'second')
    expect(server.connections).toEqual([message(server.port, 'first') + second, second])
  })
})

describe('a token, where the contract leaves details open', () => {
  const mint = async (changes: object): Promise<{ token: SessionToken; requests: number }> => {
    const sent = replyAlways(200, { ...TOKEN, ...changes })
    const client = makeClient()
    const token = await client.getSessionToken('user')
    await client.getSessionToken('user')
    return { token, requests: sent.length }
  }
  const jwt = (claims: object): string => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`

  it.each<[string, unknown]>([
    ['RFC 3339 in UTC', TOKEN.expiresAt],
    ['RFC 3339 with another zone', '2030-01-01T02:30:00+01:30'],
    ['epoch seconds', EXPIRY_MS / 1000],
    ['epoch seconds as text', String(EXPIRY_MS / 1000)],
    ['epoch milliseconds', EXPIRY_MS],
    ['epoch milliseconds as text', String(EXPIRY_MS)],
  ])('an expiresAt of %s is read, and the token is cached', async (_, expiresAt) => {
    const { token, requests } = await mint({ expiresAt })
    expect(token.expiresAt).toBe(TOKEN.expiresAt)
    expect(requests).toBe(1)
  })

  it.each(['in an hour', '2030-01-01 01:00:00', '2030-01-01T01:00:00', '3600'])(
    'an expiresAt of %j is returned unchanged, and the token is not cached',
    async expiresAt => {
      const { token, requests } = await mint({ expiresAt })
      expect(token).toEqual({ ...TOKEN, expiresAt, scopes: [] })
      expect(requests).toBe(2)
    },
  )

  it.each<[string, string]>([
    ['an opaque token', 'opaque'],
    ['an opaque token with dots', 'v1.local.opaque'],
    ['a JWT without any claim', jwt({})],
    ['a JWT whose claims do not name the identity', jwt({ sub: 'another', uid: 7, role: 'session' })],
  ])('%s is returned unchanged', async (_, sessionToken) => {
    const { token, requests } = await mint({ sessionToken })
    expect(token).toEqual({ ...TOKEN, sessionToken, scopes: [] })
    expect(requests).toBe(1)
  })

  it('the expiry of a JWT is used if it is earlier', async () => {
    const { token } = await mint({ sessionToken: jwt({ exp: EXPIRY_MS / 1000 - 600 }) })
    expect(token.expiresAt).toBe('2030-01-01T00:50:00Z')
  })

  it('unknown properties are left out', async () => {
    const unknown = { scopes: ['videos.admin.read'], refreshToken: 'x', user: { id: 1 }, errors: [], error: null }
    const { token } = await mint(unknown)
    expect(token).toEqual({ ...TOKEN, scopes: [] })
  })

  it('the gateway may return the same token twice', async () => {
    const sent = replyAlways(200, TOKEN)
    const client = makeClient()
    const first = await client.getSessionToken('user')
    expect(await client.getSessionToken('user', { cache: 'reload' })).toEqual(first)
    expect(sent).toHaveLength(2)
  })
})

describe('a failure, where the contract leaves details open', () => {
  const fail = async (status: number, body: nock.Body, headers?: nock.ReplyHeaders): ReturnType<typeof failureOf> => {
    replyAlways(status, body, headers)
    return failureOf(makeClient({ maxRetries: 0 }).getSessionToken('user'))
  }
  const CODES: [number, string][] = [
    [200, 'VKIT_INVALID_REQUEST'],
    [201, 'VKIT_INVALID_REQUEST'],
    [400, 'VKIT_INVALID_REQUEST'],
    [401, 'VKIT_UNAUTHENTICATED'],
    [403, 'VKIT_FORBIDDEN'],
    [404, 'VKIT_INVALID_REQUEST'],
    [410, 'VKIT_INVALID_REQUEST'],
    [418, 'VKIT_INVALID_REQUEST'],
    [422, 'VKIT_INVALID_REQUEST'],
    [429, 'VKIT_RATE_LIMITED'],
    [500, 'VKIT_UNAVAILABLE'],
    [501, 'VKIT_INVALID_RESPONSE'],
    [503, 'VKIT_UNAVAILABLE'],
    [599, 'VKIT_UNAVAILABLE'],
  ]

  it.each(CODES)(
    'the error text of a response with %i is included, from a string and from an object',
    async (status, code) => {
      const text = await fail(status, { ...TOKEN, error: 'no such app' })
      expect(text).toMatchObject({ code, status })
      expect(text.message).toContain(': no such app.')
      nock.cleanAll()
      const object = await fail(status, { error: { code: 'E7', message: 'no such app', hint: { deep: [] } } })
      expect(object).toMatchObject({ code, status })
      expect(object.message).toContain(': E7 – no such app.')
    },
  )

  it.each<[string, unknown]>([
    ['an object of another kind', { reason: 'x' }],
    ['an array', ['x']],
    ['true', true],
    ['a number', 7],
  ])('an error that is %s causes an error without that text', async (_, error) => {
    const failure = await fail(200, { ...TOKEN, error } as nock.Body)
    expect(failure).toMatchObject({ code: 'VKIT_INVALID_REQUEST', status: 200 })
    expect(failure.message).toMatch(/refused the request\.$/)
  })

  it.each<[string, string | undefined, number | undefined]>([
    ['seconds', '7', 7_000],
    ['a date', 'Tue, 01 Jan 2030 00:00:30 GMT', 30_000],
    ['a date that has passed', 'Mon, 31 Dec 2029 00:00:00 GMT', undefined],
    ['0', '0', undefined],
    ['a fraction', '1.5', undefined],
    ['words', 'soon', undefined],
    ['nothing', undefined, undefined],
  ])('a Retry-After of %s', async (_, retryAfter, expected) => {
    const headers = retryAfter === undefined ? {} : { 'Retry-After': retryAfter }
    for (const status of [429, 503]) {
      expect((await fail(status, { error: 'busy' }, headers)).retryAfterMs).toBe(expected)
      nock.cleanAll()
    }
  })

  it.each<[string, string, string | undefined]>([
    ['X-Request-Id', 'req-1', 'req-1'],
    ['Request-Id', 'c5a0a0a4-0a43-4f0e-8f3a-5d3c7a6a2f10', 'c5a0a0a4-0a43-4f0e-8f3a-5d3c7a6a2f10'],
    ['X-Correlation-Id', 'req-1', undefined],
    ['X-Request-Id', SECRET, undefined],
    ['X-Request-Id', 'two words', undefined],
  ])('a request id in %s: %s', async (name, value, expected) => {
    expect((await fail(500, { error: 'down' }, { [name]: value })).requestId).toBe(expected)
  })
})
