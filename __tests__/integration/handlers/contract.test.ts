import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import type { EndUser, TokenSource } from '../../../lib/handlers/index.js'
import { VKitError, type SessionToken, type VKitClient, type VKitClientOptions } from '../../../lib/index.js'
import { FakeClock, type GatewayEmulator, type GatewayFault } from '../../../lib/testing/index.js'
import { reasonOf } from '../../support/failure.js'
import { afterThisTest, makeClient, startGateway } from '../../support/gateway.js'
import { SERVERS, type Reply, type RunningServer, type Server, type Setup } from './servers.js'

/** A thousand connections are slow on a busy machine. */
jest.setTimeout(30_000)

/** Users of an example app, by the Authorization header of their requests. */
const USERS: Readonly<Record<string, EndUser>> = {
  'Bearer alice': 'user-alice',
  'Bearer bob': { identity: 'user-bob', scopes: ['videos.create'] },
  'Bearer carol': { identity: 'user-carol' },
}
const ALICE = { headers: { authorization: 'Bearer alice' } }

interface TestOptions {
  readonly authenticate?: (authorization: string | undefined) => unknown
  readonly options?: Setup['options']
  readonly client?: VKitClientOptions
  /** Wraps the client that the handler uses. */
  readonly between?: (vkit: VKitClient) => TokenSource
}

interface World extends RunningServer {
  readonly gateway: GatewayEmulator
  readonly vkit: VKitClient
  readonly reported: unknown[]
  readonly reportedToApp: unknown[]
}

async function setUp(server: Server, options: TestOptions = {}): Promise<World> {
  const { clock } = options.client ?? {}
  const gateway = await startGateway(clock && { clock })
  const vkit = makeClient(gateway, { maxRetries: 0, ...options.client })
  const reported: unknown[] = []
  const reportedToApp: unknown[] = []
  const byHeader = (authorization = ''): EndUser => USERS[authorization] ?? null
  const running = await server.start({
    vkit: options.between?.(vkit) ?? vkit,
    authenticate: (options.authenticate as typeof byHeader | undefined) ?? byHeader,
    ...(options.options && { options: options.options }),
    onError: error => void reported.push(error),
    appHook: error => void reportedToApp.push(error),
  })
  afterThisTest(() => running.stop())
  return { ...running, gateway, vkit, reported, reportedToApp }
}

function expectRefusal(reply: Reply, status: number, code: string): void {
  expect(reply.status).toBe(status)
  expect(reply.headers['content-type']).toBe('application/json')
  expect(reply.text).toBe(JSON.stringify({ error: { code } }))
  expectSafe(reply)
}

function expectSafe(reply: Reply): void {
  expect(reply.headers).toMatchObject({ 'cache-control': 'private, no-store', 'x-content-type-options': 'nosniff' })
}

describe.each(SERVERS)('the token endpoint on $name', server => {
  let printed: jest.SpiedFunction<typeof console.error>
  beforeEach(() => {
    printed = jest.spyOn(console, 'error').mockReturnValue()
  })
  afterEach(() => {
    const calls = [...printed.mock.calls]
    printed.mockRestore()
    expect(calls).toEqual([])
  })

  describe('an authenticated user', () => {
    it.each(['GET', 'POST'])('receives sessionToken, expiresAt and identity with %s', async method => {
      const { send, gateway } = await setUp(server)
      const reply = await send({ ...ALICE, method })

      expect(reply.status).toBe(200)
      expect(reply.headers['content-type']).toBe('application/json')
      expectSafe(reply)
      const token = JSON.parse(reply.text) as SessionToken
      expect(Object.keys(token)).toEqual(['sessionToken', 'expiresAt', 'identity'])
      expect(token.identity).toBe('user-alice')
      expect(token.sessionToken.split('.')).toHaveLength(3)
      expect(Date.parse(token.expiresAt)).toBeGreaterThan(Date.now())
      expect(gateway.requests[0]?.body).toEqual({ identity: 'user-alice', scopes: [] })
    })

    it('receives expiresIn too, the remaining seconds at the time of the response, if the option is set', async () => {
      const clock = new FakeClock()
      const { send, gateway } = await setUp(server, { client: { clock }, options: { expiresIn: true, clock } })
      const [first, later] = [await send(ALICE), await clock.advance(600_500).then(() => send(ALICE))]

      const token = JSON.parse(first.text) as SessionToken
      expect(token).toEqual({
        sessionToken: expect.any(String),
        expiresAt: '2030-01-01T01:00:00.000Z',
        identity: 'user-alice',
        expiresIn: 3600,
      })
      expect(JSON.parse(later.text)).toEqual({ ...token, expiresIn: 2999 })
      expect(gateway.requests).toHaveLength(1)
    })

    it('is the one that authenticate returns, whatever the request contains', async () => {
      const { send, gateway } = await setUp(server)
      const claims = JSON.stringify({ identity: 'user-admin', userId: 'user-admin', user: { id: 'user-admin' } })
      const reply = await send({
        method: 'POST',
        path: '/token?identity=user-admin&user=user-admin',
        headers: { ...ALICE.headers, 'content-type': 'application/json', 'x-identity': 'user-admin' },
        body: claims,
      })
      expect(reply.status).toBe(200)
      expect(JSON.parse(reply.text)).toMatchObject({ identity: 'user-alice' })
      expect(JSON.stringify(gateway.requests.map(request => request.body))).not.toContain('admin')
    })

    it('can be determined by an async authenticate', async () => {
      const { send } = await setUp(server, { authenticate: async () => Promise.resolve('user-dave') })
      expect(JSON.parse((await send()).text)).toMatchObject({ identity: 'user-dave' })
    })

    it('receives the scopes from authenticate, or else those of the options', async () => {
      const { send, gateway } = await setUp(server, { options: { scopes: ['videos.read'] } })
      for (const user of ['alice', 'bob', 'carol']) await send({ headers: { authorization: `Bearer ${user}` } })
      expect(gateway.requests.map(request => request.body)).toEqual([
        { identity: 'user-alice', scopes: ['videos.read'] },
        { identity: 'user-bob', scopes: ['videos.create'] },
        { identity: 'user-carol', scopes: ['videos.read'] },
      ])
    })

    it('never receives a 304 response, so no HTTP cache can reuse a token', async () => {
      const { send } = await setUp(server)
      const first = await send(ALICE)
      const again = await send({ headers: { ...ALICE.headers, 'if-none-match': first.headers['etag'] ?? '*' } })
      expect(again.status).toBe(200)
      expect(again.headers['etag']).toBeUndefined()
      expect(again.text).toBe(first.text)
    })

    it('causes one mint for 1,000 concurrent requests', async () => {
      let waiting = 0
      const { opened: allAreHere, open } = openLater()
      const authenticate = async (): Promise<EndUser> => {
        if (++waiting === 1000) open()
        await allAreHere
        return 'user-alice'
      }
      const { send, gateway, vkit } = await setUp(server, { authenticate })
      const replies = await Promise.all(Array.from({ length: 1000 }, () => send()))

      expect(new Set(replies.map(reply => reply.status))).toEqual(new Set([200]))
      expect(new Set(replies.map(reply => reply.text)).size).toBe(1)
      expect(gateway.requests).toHaveLength(1)
      expect(vkit.stats().mints).toBe(1)
    })
  })

  describe('a user who is not authenticated', () => {
    it.each([null, undefined])('receives 401, and no token is minted (%p)', async user => {
      const { send, gateway, reported } = await setUp(server, { authenticate: () => user })
      expectRefusal(await send(), 401, 'UNAUTHENTICATED')
      expect(gateway.requests).toHaveLength(0)
      expect(reported).toEqual([])
    })
  })

  describe('a method other than GET and POST', () => {
    it.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS'])(
      '%s returns 405 with Allow, and authenticate is not called',
      async method => {
        const authenticate = jest.fn(() => 'user-alice')
        const { send, gateway } = await setUp(server, { authenticate })
        const reply = await send({ method })
        expectRefusal(reply, 405, 'METHOD_NOT_ALLOWED')
        expect(reply.headers['allow']).toBe('GET, POST')
        expect(authenticate).not.toHaveBeenCalled()
        expect(gateway.requests).toHaveLength(0)
      },
    )

    it('HEAD returns 405 without a body', async () => {
      const { send, gateway } = await setUp(server)
      const reply = await send({ ...ALICE, method: 'HEAD' })
      expect(reply).toMatchObject({ status: 405, text: '' })
      expect(reply.headers['allow']).toBe('GET, POST')
      expectSafe(reply)
      expect(gateway.requests).toHaveLength(0)
    })
  })

  describe('an invalid result of authenticate', () => {
    it.each<[string, unknown]>([
      ['an empty string', ''],
      ['a number', 42],
      ['false', false],
      ['an empty object', {}],
      ['an object without identity', { id: 'user-alice' }],
      ['inherited scopes', Object.assign(Object.create({ scopes: ['videos.read'] }) as object, { identity: 'a' })],
      ['undefined converted to a string', String(undefined)],
      ['a Promise converted to a string', '[object Promise]'],
      ['an identity that is null converted to a string', { identity: String(null) }],
      ['an array', ['user-alice']],
      ['an identity of more than 1 KiB', 'x'.repeat(1025)],
      ['a string as scopes', { identity: 'user-alice', scopes: 'videos.read' }],
      ['an options object as scopes', { identity: 'user-alice', scopes: { scopes: ['videos.create'] } }],
      ['null as scopes', { identity: 'user-alice', scopes: null }],
    ])('%s: the handler returns 500 and mints no token', async (_, user) => {
      const { send, gateway, reported } = await setUp(server, { authenticate: () => user })
      expectRefusal(await send(), 500, 'VKIT_INVALID_ARGUMENT')
      expect(reported).toMatchObject([{ code: 'VKIT_INVALID_ARGUMENT' }])
      expect(gateway.requests).toHaveLength(0)
    })
  })

  describe('when authenticate throws', () => {
    it.each<[string, () => unknown, object]>([
      ['an error', () => Promise.reject(new Error('the database is down')), { message: 'the database is down' }],
      [
        'a value that is not an error',
        () => {
          // eslint-disable-next-line @typescript-eslint/only-throw-error -- Express treats next('route') as a command.
          throw 'route'
        },
        { message: 'authenticate threw something that is not an error.', cause: 'route' },
      ],
    ])('%s: the handler returns 500 and reports the error', async (_, authenticate, error) => {
      const { send, gateway, reported, reportedToApp } = await setUp(server, { authenticate })
      const reply = await send()
      expectRefusal(reply, 500, server.hasAppHook ? 'FROM_THE_APP' : 'INTERNAL')
      expect(reported).toMatchObject([error])
      expect(reportedToApp).toMatchObject(server.hasAppHook ? [error] : [])
      expect(gateway.requests).toHaveLength(0)
    })
  })

  describe('when the gateway fails', () => {
    it.each<[string, GatewayFault, number, string]>([
      ['503', { status: 503, body: { error: 'UPSTREAM TEXT' } }, 503, 'VKIT_UNAVAILABLE'],
      ['429', { status: 429, body: { error: 'UPSTREAM TEXT' } }, 503, 'VKIT_RATE_LIMITED'],
      ['a reset connection', { reset: true }, 503, 'VKIT_CONNECTION'],
      ['401', { status: 401, body: { error: 'UPSTREAM TEXT' } }, 500, 'VKIT_UNAUTHENTICATED'],
      ['403', { status: 403, body: { error: 'UPSTREAM TEXT' } }, 500, 'VKIT_FORBIDDEN'],
      ['422', { status: 422, body: { error: 'UPSTREAM TEXT' } }, 500, 'VKIT_INVALID_REQUEST'],
      ['a redirect', { status: 302, headers: { location: 'http://evil.example' } }, 500, 'VKIT_REDIRECT'],
      ['another identity', { answer: { identity: 'user-admin' } }, 500, 'VKIT_IDENTITY_MISMATCH'],
    ])('with %s, the response contains none of its text', async (_, fault, status, code) => {
      const clock = new FakeClock(Date.now())
      const { send, gateway, reported } = await setUp(server, { client: { clock } })
      gateway.failNext(fault)
      const reply = await send(ALICE)
      expectRefusal(reply, status, code)
      expect(reported).toMatchObject([{ code }])
      const retryAfter = reply.headers['retry-after']
      if (status === 503) expect(['1', '2', '3', '4', '5']).toContain(retryAfter)
      else expect(retryAfter).toBeUndefined()
      await clock.advance(200)
      expect((await send(ALICE)).status).toBe(200)
    })

    it('with a Retry-After header, the response repeats that header', async () => {
      const { send, gateway } = await setUp(server)
      gateway.failNext({ status: 429, headers: { 'retry-after': '86400' } })
      const reply = await send(ALICE)
      expectRefusal(reply, 503, 'VKIT_RATE_LIMITED')
      expect(reply.headers['retry-after']).toBe('86400')
    })

    it('a user whose token is cached still receives it', async () => {
      const { send, gateway } = await setUp(server)
      const before = await send(ALICE)
      gateway.fail({ status: 503 })
      expect((await send(ALICE)).text).toBe(before.text)
    })
  })

  it('returns 503 when the client is closed, because another process may be able to respond', async () => {
    const { send, vkit } = await setUp(server)
    await vkit.close()
    const reply = await send(ALICE)
    expectRefusal(reply, 503, 'VKIT_CLOSED')
    expect(reply.headers['retry-after']).toMatch(/^[1-5]$/)
  })

  it.each(['GET', 'POST'])('stops waiting when the client disconnects, and the mint continues (%s)', async method => {
    const gate = openLater()
    const called = openLater()
    let wait: Promise<unknown> | undefined
    const { send, gateway, vkit, reported, reportedToApp } = await setUp(server, {
      client: { appSecret: () => gate.opened.then(() => gateway.appSecret) },
      between: client => ({
        getSessionToken: (identity: string, options?: object) => {
          const token = client.getSessionToken(identity, options)
          wait ??= reasonOf(token)
          called.open()
          return token
        },
      }),
    })
    const disconnect = new AbortController()
    const body =
      method === 'POST' ? { body: '{}', headers: { ...ALICE.headers, 'content-type': 'application/json' } } : {}
    const sent = reasonOf(send({ ...ALICE, ...body, method, signal: disconnect.signal }))
    await called.opened
    disconnect.abort()

    expect(await sent).toMatchObject({ name: 'AbortError' })
    // The reason depends on the framework, and it is never an error of the SDK.
    expect(VKitError.is(await wait)).toBe(false)
    expect(vkit.stats()).toMatchObject({ inFlight: 1, entries: 0 })
    gate.open()
    expect((await send(ALICE)).status).toBe(200)
    expect(gateway.requests).toHaveLength(1)
    expect([...reported, ...reportedToApp]).toEqual([])
  })
})

function openLater(): { opened: Promise<void>; open: () => void } {
  let open = (): void => undefined
  const opened = new Promise<void>(resolve => (open = resolve))
  return { opened, open }
}
