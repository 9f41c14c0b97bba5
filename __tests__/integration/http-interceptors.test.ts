import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import nock from 'nock'
import https from 'node:https'
import { getGlobalDispatcher, MockAgent, setGlobalDispatcher } from 'undici'
import { VKitClient, type VKitClientOptions, type VKitError } from '../../lib/index.js'
import { assertNoSecret } from '../../lib/testing/index.js'
import { makeCertificate } from '../support/certificates.js'
import { failureOf } from '../support/failure.js'
import { afterThisTest, makeClient as makeClientOf, recordEvents, startGateway } from '../support/gateway.js'

/** The part of msw that these tests use. The declarations of msw need the types of the DOM. */
interface Msw {
  readonly http: { post(url: string, respond: (info: { readonly request: Request }) => unknown): object }
  readonly HttpResponse: { json(body: object): unknown; error(): unknown }
  readonly passthrough: () => unknown
}
interface MswServer {
  listen(options: { readonly onUnhandledRequest: 'error' }): void
  use(handler: object): void
  resetHandlers(): void
  close(): void
}

const load = (name: string): Promise<unknown> => import(name)
const { http, HttpResponse, passthrough } = (await load('msw')) as Msw
const { setupServer } = (await load('msw/node')) as { setupServer: () => MswServer }

const SECRET = 'sk-THE-APP-SECRET'
const BASE = 'https://gateway.example/api'
const MINT = `${BASE}/v1/sessions`
const PLACE = 'https://gateway.example:443/api/v1/sessions'
const TOKEN = { sessionToken: 'opaque-token', expiresAt: '2099-01-01T00:00:00Z', identity: 'user' }

function makeClient(options: VKitClientOptions = {}): VKitClient {
  const client = new VKitClient({ appSecret: SECRET, baseUrl: BASE, ...options })
  afterThisTest(() => client.close())
  return client
}

/** The error of a request that a tool intercepted and refused. */
async function refusal(): Promise<{ error: VKitError; events: string[] }> {
  const { types, onEvent } = recordEvents()
  const error = await failureOf(makeClient({ onEvent }).getSessionToken('user'))
  assertNoSecret(error, SECRET)
  expect(error).toMatchObject({ name: 'VKitConnectionError', code: 'VKIT_CONNECTION', retryable: false, attempts: 1 })
  return { error, events: types() }
}

const AGENTS: [string, () => VKitClientOptions][] = [
  ['an agent of the SDK', () => ({})],
  ['an agent of the caller', () => ({ agent: { https: new https.Agent({ keepAlive: true, maxSockets: 1 }) } })],
]

describe('nock', () => {
  beforeEach(() => {
    if (!nock.isActive()) nock.activate()
  })

  afterEach(() => {
    nock.cleanAll()
    nock.enableNetConnect()
    nock.restore()
  })

  it.each(AGENTS)('mints over https with %s', async (_, options) => {
    nock(BASE).persist().post('/v1/sessions').matchHeader('authorization', `Bearer ${SECRET}`).reply(200, TOKEN)
    const client = makeClient(options())
    expect(await client.getSessionToken('user')).toMatchObject(TOKEN)
    expect(await client.getSessionToken('user', { cache: 'reload' })).toMatchObject(TOKEN)
  })

  it.each<[string, () => unknown]>([
    ['for another path', () => nock('https://gateway.example').post('/elsewhere').reply(200, TOKEN)],
    ['for another body', () => nock(BASE).post('/v1/sessions', { identity: 'x' }).reply(200, TOKEN)],
    ['for another bearer', () => nock(BASE).post('/v1/sessions').matchHeader('authorization', 'x').reply(200)],
    [
      'that has been used',
      async () => {
        nock(BASE).post('/v1/sessions').reply(200, TOKEN)
        await makeClient().getSessionToken('user')
      },
    ],
  ])('reports that nothing matches if the only interceptor is one %s, and does not retry', async (_, prepare) => {
    await prepare()
    const { error, events } = await refusal()
    expect(error.message).toBe(
      `POST ${PLACE}: nock intercepted the request, and none of its interceptors matches (ERR_NOCK_NO_MATCH).`,
    )
    expect(events).not.toContain('retry')
  })

  it('reports that it does not allow connections, and does not retry', async () => {
    nock.disableNetConnect()
    const { error, events } = await refusal()
    expect(error.message).toBe(`POST ${PLACE}: nock does not allow connections to this host (ENETUNREACH).`)
    expect(events).not.toContain('retry')
  })

  it.each(AGENTS)('lets warmUp resolve without a connection, with %s', async (_, options) => {
    nock.disableNetConnect()
    const interceptor = nock(BASE).post('/v1/sessions').reply(200, TOKEN)
    const client = makeClient(options())
    await client.warmUp()
    expect(interceptor.isDone()).toBe(false)
    expect(await client.getSessionToken('user')).toMatchObject(TOKEN)
  })

  it('passes on an error that it replies with', async () => {
    nock(BASE)
      .post('/v1/sessions')
      .replyWithError(Object.assign(new Error(SECRET), { code: 'ETIMEDOUT' }))
    const error = await failureOf(makeClient({ maxRetries: 0 }).getSessionToken('user'))
    assertNoSecret(error, SECRET)
    expect(error).toMatchObject({ code: 'VKIT_CONNECTION', retryable: true, cause: { code: 'ETIMEDOUT' } })
  })
})

describe('msw', () => {
  const server = setupServer()

  beforeEach(() => {
    server.listen({ onUnhandledRequest: 'error' })
  })

  afterEach(() => {
    server.resetHandlers()
    server.close()
  })

  it.each(AGENTS)('mints over https with %s', async (_, options) => {
    const bearers: (string | null)[] = []
    server.use(
      http.post(MINT, ({ request }) => {
        bearers.push(request.headers.get('authorization'))
        return HttpResponse.json(TOKEN)
      }),
    )
    const client = makeClient(options())
    expect(await client.getSessionToken('user')).toMatchObject(TOKEN)
    expect(await client.getSessionToken('user', { cache: 'reload' })).toMatchObject(TOKEN)
    expect(bearers).toEqual([`Bearer ${SECRET}`, `Bearer ${SECRET}`])
  })

  it.each(AGENTS)('lets warmUp resolve without a connection, with %s', async (_, options) => {
    let requests = 0
    server.use(http.post(MINT, () => (requests++, HttpResponse.json(TOKEN))))
    const client = makeClient(options())
    await client.warmUp()
    expect(requests).toBe(0)
    expect(await client.getSessionToken('user')).toMatchObject(TOKEN)
  })

  it('reports that no handler matches, and does not retry', async () => {
    const printed = jest.spyOn(console, 'error').mockImplementation(() => undefined)
    try {
      server.use(http.post('https://gateway.example/elsewhere', () => HttpResponse.json(TOKEN)))
      const { error, events } = await refusal()
      expect(error.message).toBe(
        `POST ${PLACE}: msw intercepted the request, and none of its handlers matches (InternalError).`,
      )
      expect(events).not.toContain('retry')
      assertNoSecret(printed.mock.calls, SECRET)
    } finally {
      printed.mockRestore()
    }
  })

  it('passes on a network error that a handler responds with', async () => {
    server.use(http.post(MINT, () => HttpResponse.error()))
    const error = await failureOf(makeClient({ maxRetries: 0 }).getSessionToken('user'))
    assertNoSecret(error, SECRET)
    expect(error).toMatchObject({ code: 'VKIT_CONNECTION', retryable: true })
  })

  it('lets a request through to a real gateway with a private CA', async () => {
    const certificate = makeCertificate()
    const gateway = await startGateway({ tls: certificate })
    server.use(http.post(`${gateway.url}/v1/sessions`, () => passthrough()))
    const client = makeClientOf(gateway, { agent: { https: new https.Agent({ ca: certificate.cert }) } })
    expect((await client.getSessionToken('first')).identity).toBe('first')
    expect((await client.getSessionToken('second')).identity).toBe('second')
    expect(gateway.mints).toBe(2)
  })

  it('lets no request through to a gateway whose certificate is not trusted', async () => {
    const gateway = await startGateway({ tls: makeCertificate() })
    server.use(http.post(`${gateway.url}/v1/sessions`, () => passthrough()))
    expect(await failureOf(makeClientOf(gateway).getSessionToken('user'))).toMatchObject({ code: 'VKIT_TLS' })
    expect(gateway.requests).toEqual([])
  })
})

describe('tools that see only fetch', () => {
  it('see no request: the MockAgent of undici, and a stub of fetch', async () => {
    const before = getGlobalDispatcher()
    const agent = new MockAgent()
    agent.disableNetConnect()
    setGlobalDispatcher(agent)
    const fetch = jest.spyOn(globalThis, 'fetch').mockRejectedValue(new Error('stubbed'))
    try {
      const gateway = await startGateway()
      expect(await makeClientOf(gateway).getSessionToken('user')).toHaveProperty('identity', 'user')
      expect([gateway.mints, fetch.mock.calls]).toEqual([1, []])
    } finally {
      fetch.mockRestore()
      setGlobalDispatcher(before)
      await agent.close()
    }
  })
})
