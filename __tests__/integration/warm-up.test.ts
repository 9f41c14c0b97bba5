import { describe, expect, it } from '@jest/globals'
import { HttpsProxyAgent } from 'https-proxy-agent'
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { VKitClient, VKitServerError, type VKitClientOptions } from '../../lib/index.js'
import { assertNoSecret, FakeClock } from '../../lib/testing/index.js'
import { makeCertificate } from '../support/certificates.js'
import { failureOf, reasonOf } from '../support/failure.js'
import { afterThisTest, makeClient as makeClientOf, recordEvents, startGateway } from '../support/gateway.js'
import { startProxy } from '../support/proxy.js'
import { startRecordingServer, type RecordingServer } from '../support/recording-server.js'
import { RecordingStore } from '../support/recording-store.js'

const SECRET = 'sk-THE-APP-SECRET'
const good = makeCertificate()
const impostor = makeCertificate({ hosts: ['impostor.example'] })

function makeClient(server: { port: number }, options: VKitClientOptions = {}): VKitClient {
  const scheme = options.agent?.https ? 'https' : 'http'
  const baseUrl = `${scheme}://127.0.0.1:${server.port}`
  const client = new VKitClient({ appSecret: SECRET, baseUrl, maxRetries: 0, ...options })
  afterThisTest(() => client.close())
  return client
}

function makeAgent(options: https.AgentOptions = {}): https.Agent {
  const agent = new https.Agent({ ca: good.cert, keepAlive: true, ...options })
  afterThisTest(async () => agent.destroy())
  return agent
}

/** Checks that a warm-up sent nothing, and that the next mint used its connection. */
async function expectReuse(client: VKitClient, server: RecordingServer): Promise<void> {
  await client.warmUp()
  expect(server.requests).toEqual([])
  expect((await client.getSessionToken('user')).identity).toBe('user')
  expect(server.connections).toHaveLength(1)
  expect(server.requests).toHaveLength(1)
}

describe('warmUp opens the connection of the first mint', () => {
  it('over http', async () => {
    const server = await startRecordingServer()
    await expectReuse(makeClient(server), server)
  })

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('over https with an agent of the caller, %s', async maxVersion => {
    const server = await startRecordingServer({ ...good, maxVersion })
    await expectReuse(makeClient(server, { agent: { https: makeAgent({ maxSockets: 1 }) } }), server)
  })

  it('through a proxy', async () => {
    const [server, proxy] = [await startRecordingServer(good), await startProxy()]
    const agent = new HttpsProxyAgent(proxy.url, { keepAlive: true })
    Object.assign(agent.options, { ca: good.cert })
    afterThisTest(async () => agent.destroy())
    await expectReuse(makeClient(server, { agent: { https: agent } }), server)
    assertNoSecret(proxy.heard, SECRET)
  })

  it('once for concurrent and later calls', async () => {
    const server = await startRecordingServer()
    const client = makeClient(server)
    await Promise.all([client.warmUp(), client.warmUp()])
    await client.warmUp()
    await expectReuse(client, server)
  })

  it('and the client replaces it if the server closes it before the mint', async () => {
    const gateway = await startGateway({ tls: good })
    const { types, onEvent } = recordEvents()
    const agent = makeAgent()
    const client = makeClientOf(gateway, { agent: { https: agent }, onEvent })
    await client.warmUp()
    const sockets = Object.values(agent.freeSockets).flatMap(kept => kept ?? [])
    expect(sockets).toHaveLength(1)
    const closed = Promise.all(sockets.map(socket => once(socket, 'close')))
    await gateway.stop()
    await closed
    await gateway.start()
    expect((await client.getSessionToken('user')).identity).toBe('user')
    expect(types()).toEqual(['miss', 'mint'])
  })

  it('and adds no listener to it', async () => {
    const server = await startRecordingServer(good)
    const agent = makeAgent()
    const client = makeClient(server, { agent: { https: agent } })
    const listeners = (): [string | symbol, number][] =>
      Object.values(agent.freeSockets)
        .flatMap(sockets => sockets ?? [])
        .flatMap(socket => socket.eventNames().map(name => [name, socket.listenerCount(name)] as [string, number]))
    await client.warmUp()
    await client.getSessionToken('user')
    await nextTurn()
    const early = listeners()
    for (let call = 0; call < 20; call++) await client.warmUp()
    expect(early.length).toBeGreaterThan(0)
    expect(listeners()).toEqual(early)
  })

  it.each([
    ['http', () => ({ http: new http.Agent({ keepAlive: false }) })],
    ['https', () => ({ https: makeAgent({ keepAlive: false }) })],
  ])('and closes it if the agent of the caller keeps none alive (%s)', async (scheme, agent) => {
    const server = await startRecordingServer(scheme === 'https' ? good : undefined)
    const client = makeClient(server, { agent: agent() })
    await client.warmUp()
    await server.closed()
    expect((await client.getSessionToken('user')).identity).toBe('user')
    expect(server.requests).toHaveLength(1)
  })

  it('and closes it if the agent of the caller takes no sockets back', async () => {
    const server = await startRecordingServer()
    const sockets: net.Socket[] = []
    const addRequest = (request: http.ClientRequest): void => {
      const socket = net.connect(server.port, '127.0.0.1')
      sockets.push(socket)
      request.onSocket(socket)
    }
    const client = makeClient(server, { agent: { http: { addRequest } } })
    await client.warmUp()
    expect(sockets).toMatchObject([{ destroyed: true }])
    await server.closed()
  })

  it("and gives it to a request that waits for the caller's agent", async () => {
    const server = await startRecordingServer()
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    afterThisTest(async () => agent.destroy())
    const client = makeClient(server, { agent: { http: agent } })
    const warm = client.warmUp()
    const token = client.getSessionToken('user')
    await warm
    expect((await token).identity).toBe('user')
    expect(server.connections).toHaveLength(1)
  })
})

describe('warmUp', () => {
  it('mints nothing, and changes neither statistics nor events', async () => {
    const gateway = await startGateway()
    const { events, onEvent } = recordEvents()
    const client = makeClientOf(gateway, { onEvent })
    const before = client.stats()
    await client.warmUp()
    expect(client.stats()).toEqual(before)
    expect(events).toEqual([])
    expect(gateway.requests).toEqual([])
  })

  it('does not use the shared store', async () => {
    const gateway = await startGateway()
    const store = new RecordingStore(new Map<string, unknown>())
    await makeClientOf(gateway, { cache: { store } }).warmUp()
    expect(store.keys).toEqual([])
  })

  it('calls the secret provider', async () => {
    const gateway = await startGateway()
    let calls = 0
    const client = makeClientOf(gateway, { appSecret: () => (calls++, gateway.appSecret) })
    await client.warmUp()
    expect(calls).toBe(1)
  })

  it('works while mints fail immediately, because it does not mint', async () => {
    const gateway = await startGateway()
    gateway.fail({ status: 401 })
    const client = makeClientOf(gateway, { maxRetries: 0 })
    await failureOf(client.getSessionToken('user'))
    await client.warmUp()
    expect(gateway.requests).toHaveLength(1)
  })

  it('can succeed after it failed', async () => {
    const gateway = await startGateway()
    const { url } = gateway
    const client = makeClientOf(gateway)
    await gateway.stop()
    const error = await failureOf(client.warmUp())
    expect(error).toMatchObject({ code: 'VKIT_CONNECTION', retryable: true, attempts: 0 })
    expect(error.message).toBe(`The connection to ${url}/v1/sessions failed (ECONNREFUSED).`)
    expect(error.stack).toContain('warm-up.test')
    await gateway.start()
    await client.warmUp()
  })
})

describe('warmUp rejects', () => {
  it.each<[string, Omit<https.AgentOptions, 'keepAlive'>, object]>([
    ['is not trusted', { ca: impostor.cert }, good],
    ['has another name', { ca: impostor.cert }, impostor],
    [
      'has another name, which the agent accepts',
      { ca: impostor.cert, checkServerIdentity: () => undefined },
      impostor,
    ],
  ])('with VKIT_TLS if the certificate %s', async (_, options, certificate) => {
    const server = await startRecordingServer(certificate)
    const error = await failureOf(makeClient(server, { agent: { https: makeAgent(options) } }).warmUp())
    expect(error).toMatchObject({ name: 'VKitConnectionError', code: 'VKIT_TLS', retryable: false, attempts: 0 })
    await server.closed()
    expect(server.connections.join('')).toBe('')
  })

  it('with VKIT_CONNECTION if the server closes the connection during the handshake', async () => {
    const server = await startRecordingServer()
    server.respond = socket => socket.destroy()
    const error = await failureOf(makeClient(server, { agent: { https: makeAgent() } }).warmUp())
    expect(error).toMatchObject({ code: 'VKIT_CONNECTION', cause: { code: 'ECONNRESET' } })
  })

  it('with VKIT_CONNECTION if the connection fails at once', async () => {
    const server = await startRecordingServer()
    // Not an address of this machine, so Node fails before the request gets its socket.
    const agent = { http: new http.Agent({ keepAlive: true, localAddress: '203.0.113.1' }) }
    expect(await failureOf(makeClient(server, { agent }).warmUp())).toMatchObject({ code: 'VKIT_CONNECTION' })
  })

  it('with VKIT_CONNECTION if the proxy refuses', async () => {
    const [server, proxy] = [await startRecordingServer(good), await startProxy()]
    proxy.refusal = 'HTTP/1.1 407 Refused\r\nContent-Length: 0\r\n\r\n'
    const agent = new HttpsProxyAgent(proxy.url, { keepAlive: true })
    const error = await failureOf(makeClient(server, { agent: { https: agent } }).warmUp())
    expect(error).toMatchObject({ code: 'VKIT_CONNECTION', retryable: true })
  })

  it('with VKIT_TIMEOUT after timeoutMs if the handshake stalls', async () => {
    const server = await startRecordingServer()
    const clock = new FakeClock()
    server.respond = () => void clock.advance(1_000)
    const client = makeClient(server, { agent: { https: makeAgent() }, clock, timeoutMs: 1_000 })
    const error = await failureOf(client.warmUp())
    expect(error).toMatchObject({ code: 'VKIT_TIMEOUT', attempts: 0 })
    expect(error.message).toBe(`No connection to https://127.0.0.1:${server.port}/v1/sessions within 1000 ms.`)
    await server.closed()
  })

  it('with VKIT_TIMEOUT after deadlineMs if the secret provider stalls', async () => {
    const clock = new FakeClock()
    const appSecret = (): Promise<string> => {
      void clock.advance(2_000)
      return new Promise(() => undefined)
    }
    const client = makeClient({ port: 9 }, { appSecret, clock, deadlineMs: 2_000 })
    expect(await failureOf(client.warmUp())).toMatchObject({ code: 'VKIT_TIMEOUT' })
  })

  it.each<[string, VKitClientOptions['appSecret']]>([
    [
      'throws',
      () => {
        throw new Error(SECRET)
      },
    ],
    ['rejects', () => Promise.reject(new Error(SECRET))],
    ['returns no secret', () => ''],
  ])('with VKIT_CONFIG if the secret provider %s, and opens no connection', async (_, appSecret) => {
    const server = await startRecordingServer()
    const error = await failureOf(makeClient(server, { appSecret }).warmUp())
    expect(error).toMatchObject({ name: 'VKitConfigError', code: 'VKIT_CONFIG' })
    assertNoSecret(error, SECRET)
    expect(server.connections).toEqual([])
  })

  it('with VKIT_CONFIG if the app secret is missing', async () => {
    const saved = process.env['VKIT_APP_SECRET']
    delete process.env['VKIT_APP_SECRET']
    try {
      const client = new VKitClient()
      expect(await failureOf(client.warmUp())).toMatchObject({ code: 'VKIT_CONFIG' })
    } finally {
      if (saved !== undefined) process.env['VKIT_APP_SECRET'] = saved
    }
  })

  it('with VKIT_CLOSED after and during close', async () => {
    const server = await startRecordingServer()
    const client = makeClient(server, { agent: { https: makeAgent() } })
    const requested = new Promise<void>(resolve => (server.respond = () => resolve()))
    const pending = failureOf(client.warmUp())
    await requested
    await client.close()
    expect(await pending).toMatchObject({ name: 'VKitClosedError', code: 'VKIT_CLOSED' })
    expect(await failureOf(client.warmUp())).toMatchObject({ code: 'VKIT_CLOSED' })
    await server.closed()
  })

  it('with the reason of its signal, and other calls continue', async () => {
    const server = await startRecordingServer(good)
    const client = makeClient(server, { agent: { https: makeAgent() } })
    const [before, during] = [new Error('before'), new VKitServerError('during')]
    expect(await reasonOf(client.warmUp({ signal: AbortSignal.abort(before) }))).toBe(before)
    const control = new AbortController()
    const left = reasonOf(client.warmUp({ signal: control.signal }))
    const stays = client.warmUp()
    control.abort(during)
    expect(await left).toBe(during)
    await stays
    await expectReuse(client, server)
  })

  it('with VKIT_INVALID_ARGUMENT for invalid options', async () => {
    const client = makeClient({ port: 9 })
    for (const [options, message] of [
      [{ sigal: undefined }, 'Unknown option "sigal": did you mean "signal"? Known options: signal.'],
      [{ signal: 1 }, 'signal must be an AbortSignal.'],
      [5, 'The options must be an object.'],
    ] as const) {
      const error = await failureOf(client.warmUp(options as never))
      expect(error).toMatchObject({ name: 'VKitArgumentError', message })
    }
    const detached = client.warmUp.bind(undefined)
    expect(await failureOf(detached())).toMatchObject({ code: 'VKIT_INVALID_ARGUMENT' })
  })
})
