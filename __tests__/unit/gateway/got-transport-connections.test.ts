import { describe, expect, it, jest } from '@jest/globals'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import http from 'node:http'
import https from 'node:https'
import { connect, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { systemClock, type Clock } from '../../../lib/core/clock.js'
import { Deadline } from '../../../lib/core/deadline.js'
import { Events } from '../../../lib/core/events.js'
import type { Agents } from '../../../lib/gateway/connection.js'
import { GotTransport } from '../../../lib/gateway/got-transport.js'
import { loadGot } from '../../../lib/gateway/load-got.js'
import type { ProxyEnv } from '../../../lib/gateway/proxy-agent.js'
import type { GatewayResponse } from '../../../lib/gateway/response.js'
import type { ExchangeRequest } from '../../../lib/gateway/transport.js'
import { assertNoSecret, FakeClock } from '../../../lib/testing/index.js'
import { makeCertificate } from '../../support/certificates.js'
import { failureOf, reasonOf } from '../../support/failure.js'
import { freePort } from '../../support/free-port.js'
import { afterThisTest } from '../../support/gateway.js'
import { withPollutedPrototypes } from '../../support/polluted-prototypes.js'
import { respondWithToken, startRecordingServer } from '../../support/recording-server.js'

const SECRET = 'sk-THE-APP-SECRET'
const good = makeCertificate()
const other = makeCertificate({ hosts: ['other.example'] })

interface Options {
  readonly scheme?: 'http' | 'https'
  readonly agents?: Agents
  readonly clock?: Clock
  readonly load?: typeof loadGot
  readonly proxyEnv?: ProxyEnv
}

function setUp(
  port: number,
  { scheme = 'http', agents = {}, clock = systemClock, load = loadGot, proxyEnv }: Options = {},
) {
  const endpoint = (): URL => new URL(`${scheme}://127.0.0.1:${port}/v1/sessions`)
  const limits = { timeoutMs: 5_000, maxConnections: 50 }
  const events = new Events()
  const transport = new GotTransport({
    endpoint,
    ...limits,
    agents,
    proxyEnv: () => proxyEnv,
    clock,
    events,
    loadGot: load,
  })
  const deadline = new Deadline(systemClock, 60_000, () => new Error('the deadline'))
  afterThisTest(async () => {
    deadline.clear()
    transport.close()
  })
  const exchange = (request: Partial<ExchangeRequest> = {}): Promise<GatewayResponse> => {
    const body = '{"identity":"user","scopes":[]}'
    return transport.exchange({ secret: SECRET, identity: 'user', body, deadline, timeoutMs: 5_000, ...request })
  }
  const place = `${scheme}://127.0.0.1:${port}/v1/sessions`
  return { transport, deadline, exchange, place, preconnect: () => transport.preconnect({ secret: SECRET, deadline }) }
}

function agentOf<A extends http.Agent>(agent: A): A {
  afterThisTest(async () => agent.destroy())
  return agent
}

const trusting = (options: https.AgentOptions = {}): https.Agent =>
  agentOf(new https.Agent({ ca: good.cert, keepAlive: true, ...options }))

/** Sends a request of other code through the same agent, with the options that the client has too. */
async function requestByOthers(port: number, agent: https.Agent): Promise<void> {
  const request = https.request({ host: '127.0.0.1', port, agent, method: 'POST', rejectUnauthorized: true })
  request.end('{}')
  await new Promise(resolve => request.on('response', response => response.resume().on('end', resolve)))
  await nextTurn() // The agent takes the connection back.
}

/** Does something when got creates a request, as a subscriber to its diagnostics channels can. */
function whenRequestIsCreated(act: () => void): void {
  subscribe('got:request:create', act)
  afterThisTest(async () => void unsubscribe('got:request:create', act))
}

describe('an exchange over https', () => {
  it('sends the bearer token to a server with a trusted certificate, and keeps the connection', async () => {
    const server = await startRecordingServer(good)
    const { exchange } = setUp(server.port, { scheme: 'https', agents: { https: trusting() } })
    for (let i = 0; i < 2; i++) expect(await exchange()).toMatchObject({ status: 200 })
    expect(server.connections).toHaveLength(1)
    expect(server.requests[0]).toContain(`authorization: Bearer ${SECRET}\r\n`)
  })

  it.each<[string, https.AgentOptions | undefined, (place: string) => string]>([
    [
      "the client's own agent does not trust",
      undefined,
      place => `No secure connection to ${place} (DEPTH_ZERO_SELF_SIGNED_CERT).`,
    ],
    [
      'is for another name',
      { ca: other.cert },
      place => `No secure connection to ${place} (ERR_TLS_CERT_ALTNAME_INVALID).`,
    ],
    [
      'is for another name, which only a check of the agent accepts',
      { ca: other.cert, checkServerIdentity: () => undefined },
      place =>
        `The connection to ${place} is not secure: the certificate is not valid for 127.0.0.1. The app secret was not sent.`,
    ],
  ])('sends nothing to a server whose certificate %s', async (_, options, message) => {
    const server = await startRecordingServer(other)
    const agents = options && { https: trusting(options) }
    const { exchange, preconnect, place } = setUp(server.port, { scheme: 'https', ...(agents && { agents }) })
    for (const attempt of [exchange, preconnect]) {
      expect(await failureOf(attempt())).toMatchObject({ code: 'VKIT_TLS', message: message(place) })
    }
    await server.closed()
    expect(server.connections.join('')).toBe('')
  })

  it('shares no connection of the agent with other code, whose checks may be weaker', async () => {
    const server = await startRecordingServer(good)
    const agent = trusting()
    await requestByOthers(server.port, agent)
    await setUp(server.port, { scheme: 'https', agents: { https: agent } }).exchange()
    expect(server.connections).toHaveLength(2)
  })
})

it('a connection that the server has closed ends the idle ones to this server, and no others', async () => {
  const [gateway, other] = [await startRecordingServer(good), await startRecordingServer(good)]
  const agent = trusting()
  const { exchange } = setUp(gateway.port, { scheme: 'https', agents: { https: agent } })
  await requestByOthers(other.port, agent)
  await Promise.all([exchange(), exchange()])
  gateway.respond = socket => {
    gateway.respond = respondWithToken
    socket.destroy()
  }
  await exchange()
  await exchange()
  await requestByOthers(other.port, agent)
  expect([gateway.connections.length, other.connections.length]).toEqual([3, 1])
})

describe('an error of the agent of the caller', () => {
  const error = Object.assign(new Error(SECRET), { code: 'EMFILE' })
  const addRequest = (): never => {
    throw error
  }
  class FailingAgent extends http.Agent {
    override createConnection(
      _: http.ClientRequestArgs,
      onConnection?: (error: Error, none: Duplex) => void,
    ): undefined {
      onConnection?.(error, new Duplex())
    }
  }

  it.each([
    ['throws it', { addRequest }],
    ['passes it on', new FailingAgent()],
  ])(
    'has its code in the error of the exchange and of the connection in advance, if the agent %s',
    async (_, agent) => {
      const { exchange, preconnect, place } = setUp(9, { agents: { http: agent as http.Agent } })
      for (const attempt of [exchange, preconnect]) {
        const failure = await failureOf(attempt())
        const message = `The connection to ${place} failed (EMFILE).`
        expect(failure).toMatchObject({ code: 'VKIT_CONNECTION', message, cause: { code: 'EMFILE' } })
        assertNoSecret(failure, SECRET)
      }
    },
  )
})

it.each([
  ['a new', false],
  ['a kept', true],
])('an exchange fails if %s stream of an agent ends in the middle of the response', async (_, isKept) => {
  const addRequest = jest.fn((request: http.ClientRequest) => {
    const stream = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        done()
        if (!chunk.includes('"identity"')) return
        stream.push(`HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{`)
        stream.push(null)
      },
    })
    request.reusedSocket = isKept
    request.onSocket(Object.assign(stream, { unref: () => undefined }) as unknown as Socket)
  })
  const { exchange, place } = setUp(9, { agents: { http: { addRequest } as unknown as http.Agent } })
  expect((await failureOf(exchange())).message).toBe(`The connection to ${place} failed (ECONNRESET).`)
  expect(addRequest).toHaveBeenCalledTimes(1)
})

describe('an exchange that fails', () => {
  it('without a connection has not been sent if other requests use all connections of the agent', async () => {
    const clock = new FakeClock()
    const server = await startRecordingServer()
    server.respond = () => undefined
    const agent = agentOf(new http.Agent({ keepAlive: true, maxSockets: 1 }))
    const { exchange, place } = setUp(server.port, { agents: { http: agent }, clock })
    const [isWaiting, isSent] = [jest.fn(), jest.fn()]
    const sent = failureOf(exchange({ onNotSent: isSent, timeoutMs: 6_000 }))
    while (server.requests.length === 0) await nextTurn()
    const waiting = [isWaiting, undefined].map(onNotSent => failureOf(exchange({ onNotSent })))
    while (Object.values(agent.requests).flat().length < 2) await nextTurn()
    await clock.advance(5_000)
    const message = `No complete response from ${place} within 5000 ms.`
    for (const failure of waiting) expect(await failure).toMatchObject({ code: 'VKIT_TIMEOUT', message })
    await clock.advance(1_000)
    expect(await sent).toMatchObject({ code: 'VKIT_TIMEOUT' })
    expect([isWaiting.mock.calls.length, isSent.mock.calls.length]).toEqual([1, 0])
  })

  it('without a connection counts as sent if the agent has no queue', async () => {
    const clock = new FakeClock()
    const addRequest = jest.fn()
    for (const agent of [Object.assign(agentOf(new http.Agent()), { addRequest }), { addRequest }]) {
      const onNotSent = jest.fn()
      const agents = { http: agent as http.Agent }
      const failure = failureOf(setUp(9, { agents, clock }).exchange({ onNotSent }))
      while (clock.sleepers === 0) await nextTurn()
      await clock.advance(5_000)
      expect(await failure).toMatchObject({ code: 'VKIT_TIMEOUT' })
      expect(onNotSent).not.toHaveBeenCalled()
    }
  })

  it("rejects with an error of its own, also if both connections of the caller's agent are stale", async () => {
    const port = await freePort()
    const addRequest = jest.fn((request: http.ClientRequest) => {
      Object.assign(request, { reusedSocket: true }).onSocket(connect(port))
    })
    const { exchange, place } = setUp(9, { agents: { http: { addRequest, freeSockets: {} } as unknown as http.Agent } })
    const message = `The connection to ${place} failed (ECONNREFUSED).`
    expect(await failureOf(exchange())).toMatchObject({ code: 'VKIT_CONNECTION', message })
    expect(addRequest).toHaveBeenCalledTimes(2)
  })

  it('takes no compressed response, which could become very long', async () => {
    const server = await startRecordingServer()
    const body = gzipSync('{"sessionToken":"token","expiresAt":"2099-01-01T00:00:00Z","identity":"user"}')
    server.respond = socket => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${body.length}\r\n\r\n`)
      socket.write(body)
    }
    expect(await failureOf(setUp(server.port).exchange())).toMatchObject({ code: 'VKIT_INVALID_RESPONSE' })
  })

  it('sends nothing if its deadline ends when it gets one', async () => {
    const server = await startRecordingServer()
    const { exchange, deadline } = setUp(server.port)
    const cancelled = new Error('cancelled')
    expect(await reasonOf(exchange({ onDispatch: () => deadline.cancel(cancelled) }))).toBe(cancelled)
    await server.closed()
    expect(server.connections.join('')).toBe('')
  })

  it('rejects with the reason of a deadline that ends while its request is created, and opens no connection', async () => {
    const server = await startRecordingServer()
    const { exchange, deadline } = setUp(server.port)
    const cancelled = new Error('cancelled')
    whenRequestIsCreated(() => deadline.cancel(cancelled))
    expect(await reasonOf(exchange())).toBe(cancelled)
    await nextTurn()
    expect(server.connections).toEqual([])
  })

  it.each([
    ['stale, and ended with a text in place of an error', (socket: Socket) => socket.destroy('text' as never)],
    ['closed', (socket: Socket) => socket.destroy()],
  ])('sends its request again if its connection is %s', async (_, end) => {
    const server = await startRecordingServer()
    const agent = agentOf(new http.Agent({ keepAlive: true }))
    const reuseSocket = jest.spyOn(agent, 'reuseSocket')
    const { exchange } = setUp(server.port, { agents: { http: agent } })
    await exchange()
    await nextTurn() // The agent takes the connection back.
    reuseSocket.mockImplementationOnce((socket, request) => {
      request.reusedSocket = true
      process.nextTick(end, socket)
    })
    expect(await exchange()).toMatchObject({ status: 200 })
    expect([reuseSocket.mock.calls.length, server.connections.length]).toEqual([1, 2])
  })

  it('rejects with an error of its own if the agent destroys the request that is to reuse a connection', async () => {
    const server = await startRecordingServer()
    const agent = agentOf(new http.Agent({ keepAlive: true }))
    const { exchange, place } = setUp(server.port, { agents: { http: agent } })
    await exchange()
    await nextTurn() // The agent takes the connection back.
    jest.spyOn(agent, 'reuseSocket').mockImplementationOnce((_, request) => {
      request.reusedSocket = true
      request.destroy(new Error('no'))
    })
    const message = `The connection to ${place} failed (Error).`
    expect(await failureOf(exchange())).toMatchObject({ code: 'VKIT_CONNECTION', message })
  })

  it('rejects with VKIT_CONFIG if Node does not accept the URL of its proxy', async () => {
    const on = jest.spyOn(http.Agent.prototype, 'on').mockImplementationOnce(() => {
      throw Object.assign(new TypeError('invalid'), { code: 'ERR_INVALID_URL' })
    })
    afterThisTest(async () => on.mockRestore())
    const { exchange } = setUp(9, { scheme: 'https', proxyEnv: { HTTPS_PROXY: 'http://proxy' } })
    const message = 'HTTPS_PROXY is not a valid URL of a proxy.'
    expect(await failureOf(exchange())).toMatchObject({ code: 'VKIT_CONFIG', message })
  })

  it('names its place if the gateway refuses it', async () => {
    const server = await startRecordingServer()
    server.respond = socket => socket.write('HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n')
    const { exchange, place } = setUp(server.port)
    expect((await failureOf(exchange())).message).toBe(`${place} refused the request (400).`)
  })

  it("rejects with the connection's own name and code", async () => {
    const { exchange, place } = setUp(await freePort())
    expect(await failureOf(exchange())).toMatchObject({
      message: `The connection to ${place} failed (ECONNREFUSED).`,
      cause: { name: 'Error', code: 'ECONNREFUSED' },
    })
  })
})

it('an exchange works although Object.prototype has the name of an event of a response', async () => {
  const server = await startRecordingServer()
  const { exchange } = setUp(server.port)
  await withPollutedPrototypes('aborted', 'polluted', async () => {
    expect(await exchange()).toMatchObject({ status: 200 })
  })
})

describe('an idle connection', () => {
  it('is closed if the server sends a response that was not requested', async () => {
    const server = await startRecordingServer()
    const { exchange } = setUp(server.port)
    let ofServer: Socket | undefined
    server.respond = (socket, request) => {
      ofServer = socket
      respondWithToken(socket, request)
    }
    for (let i = 0; i < 2; i++) await exchange()
    await nextTurn() // The agent takes the connection back.
    ofServer?.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}')
    await server.closed()
    expect(await exchange()).toMatchObject({ body: { sessionToken: 'token-of-user' } })
    expect(server.connections).toHaveLength(2)
  })

  it('is closed when the transport is closed, but not one of an agent of the caller', async () => {
    const server = await startRecordingServer()
    const own = setUp(server.port)
    own.transport.close()
    await own.exchange()
    own.transport.close()
    await server.closed()
    const agent = agentOf(new http.Agent({ keepAlive: true }))
    const shared = setUp(server.port, { agents: { http: agent } })
    await shared.exchange()
    shared.transport.close()
    await shared.exchange()
    expect(server.connections).toHaveLength(2)
  })
})

describe('loading the HTTP client', () => {
  const failing = (error: unknown): typeof loadGot =>
    jest.fn(loadGot).mockImplementationOnce(() => Promise.reject(error))

  it('happens once, without a connection', async () => {
    const server = await startRecordingServer()
    const load = jest.fn(loadGot)
    const { transport, exchange } = setUp(server.port, { load })
    await Promise.all([transport.load(), transport.load()])
    await transport.load()
    expect(server.connections).toEqual([])
    await exchange()
    expect(load).toHaveBeenCalledTimes(1)
  })

  it.each<[unknown, object, string]>([
    [{ code: 'EMFILE', path: SECRET }, { retryable: true }, 'The HTTP client (got) could not be loaded (EMFILE).'],
    [new SyntaxError(SECRET), { retryable: true }, 'The HTTP client (got) could not be loaded (SyntaxError).'],
    [undefined, { retryable: true }, 'The HTTP client (got) could not be loaded (no code).'],
    [
      { code: 'ERR_ACCESS_DENIED' },
      { retryable: false, cause: { code: 'ERR_ACCESS_DENIED' } },
      "Node's permission model does not let the HTTP client (got) load: start Node with --allow-fs-read for the folder of this package.",
    ],
  ])('that fails with %p prevents the request, and is tried again', async (error, expected, message) => {
    const server = await startRecordingServer()
    const { exchange, transport } = setUp(server.port, { load: failing(error) })
    const onNotSent = jest.fn()
    const failure = await failureOf(exchange({ onNotSent }))
    expect(failure).toMatchObject({ code: 'VKIT_CONNECTION', ...expected, message })
    assertNoSecret(failure, SECRET)
    expect(onNotSent).toHaveBeenCalledTimes(1)
    await transport.load()
    expect(await exchange()).toMatchObject({ status: 200 })
  })

  it('that fails without a request rejects too', async () => {
    const message = 'The HTTP client (got) could not be loaded (EMFILE).'
    const cause = { code: 'EMFILE' }
    expect(await failureOf(setUp(9, { load: failing(cause) }).transport.load())).toMatchObject({ message, cause })
    expect(await failureOf(setUp(9, { load: failing(cause) }).preconnect())).toMatchObject({ message, cause })
  })
})

describe('a connection that is opened in advance', () => {
  it.each(['http', 'https'] as const)('is used by the next exchange, over %s', async scheme => {
    const server = await startRecordingServer(scheme === 'https' ? good : undefined)
    const agents = scheme === 'https' ? { https: trusting() } : {}
    const { exchange, preconnect } = setUp(server.port, { scheme, agents })
    for (let i = 0; i < 2; i++) await preconnect()
    expect(server.requests).toEqual([])
    await exchange()
    await exchange()
    expect([server.connections.length, server.requests.length]).toEqual([1, 2])
  })

  it.each([
    ['does not keep it', () => agentOf(new http.Agent({ keepAlive: false }))],
    ['is not of Node', port => ({ addRequest: (request: http.ClientRequest) => request.onSocket(connect(port)) })],
  ] satisfies [string, (port: number) => object][])('is closed if the agent of the caller %s', async (_, makeAgent) => {
    const server = await startRecordingServer()
    await setUp(server.port, { agents: { http: makeAgent(server.port) as http.Agent } }).preconnect()
    await server.closed()
    expect(server.requests).toEqual([])
  })

  it('rejects with the error of the connection', async () => {
    const { preconnect, place } = setUp(await freePort())
    const message = `The connection to ${place} failed (ECONNREFUSED).`
    const cause = { name: 'Error', code: 'ECONNREFUSED' }
    expect(await failureOf(preconnect())).toMatchObject({ code: 'VKIT_CONNECTION', message, cause })
  })

  it('rejects if it fails at once', async () => {
    const server = await startRecordingServer()
    // Not an address of this machine.
    const agent = agentOf(new http.Agent({ keepAlive: true, localAddress: '203.0.113.1' }))
    const { preconnect, place } = setUp(server.port, { agents: { http: agent } })
    const message = `The connection to ${place} failed (EADDRNOTAVAIL).`
    expect(await failureOf(preconnect())).toMatchObject({ code: 'VKIT_CONNECTION', message })
  })

  it('rejects if it had failed when the agent gave it to the request', async () => {
    class FailingAgent extends http.Agent {
      override createConnection(): Socket {
        const destroy = (error: Error | null, done: (error: Error | null) => void): void =>
          void setImmediate(done, error)
        const nothing = (): void => undefined
        const stream = Object.assign(new Duplex({ destroy }), { unref: nothing, setKeepAlive: nothing })
        return stream.destroy(Object.assign(new Error('no port'), { code: 'EADDRNOTAVAIL' })) as unknown as Socket
      }
    }
    const { preconnect, place } = setUp(9, { agents: { http: agentOf(new FailingAgent()) } })
    const message = `The connection to ${place} failed (EADDRNOTAVAIL).`
    expect(await failureOf(preconnect())).toMatchObject({ code: 'VKIT_CONNECTION', message })
  })

  it('rejects if the agent closes it during the handshake', async () => {
    const server = await startRecordingServer()
    const agent = trusting()
    server.respond = () => agent.destroy()
    const { preconnect, place } = setUp(server.port, { scheme: 'https', agents: { https: agent } })
    const message = `The connection to ${place} failed (ECONNRESET).`
    expect(await failureOf(preconnect())).toMatchObject({ code: 'VKIT_CONNECTION', message })
  })

  it('rejects after timeoutMs if other requests use all connections of the agent, and takes none later', async () => {
    const clock = new FakeClock()
    const server = await startRecordingServer()
    server.respond = () => undefined
    const agent = agentOf(new http.Agent({ keepAlive: true, maxSockets: 1 }))
    const { exchange, preconnect, place } = setUp(server.port, { agents: { http: agent }, clock })
    const busy = failureOf(exchange({ timeoutMs: 6_000 }))
    while (server.requests.length === 0) await nextTurn()
    const waiting = failureOf(preconnect())
    while (Object.values(agent.requests).flat().length === 0) await nextTurn()
    await clock.advance(5_000)
    const message = `No connection to ${place} within 5000 ms.`
    expect(await waiting).toMatchObject({ code: 'VKIT_TIMEOUT', message })
    server.respond = respondWithToken
    await clock.advance(1_000)
    await busy
    expect(await exchange()).toMatchObject({ status: 200 })
  })

  it('gets no listener for each time', async () => {
    const server = await startRecordingServer()
    const agent = agentOf(new http.Agent({ keepAlive: true }))
    const { preconnect } = setUp(server.port, { agents: { http: agent } })
    const counts = async (): Promise<number[][]> => {
      await preconnect()
      await nextTurn()
      const sockets = Object.values(agent.freeSockets).flatMap(kept => kept ?? [])
      return sockets.map(socket => ['error', 'close', 'data'].map(name => socket.listenerCount(name)))
    }
    const first = await counts()
    expect(first).toHaveLength(1)
    for (let i = 0; i < 3; i++) expect(await counts()).toEqual(first)
  })

  it('is not given to an agent that it does not come from, as with test tools', async () => {
    const onFree = jest.fn()
    const stream = Object.assign(new Duplex({ read: () => undefined }), { unref: () => undefined }).on('free', onFree)
    const agent = { addRequest: (request: http.ClientRequest) => setImmediate(() => request.emit('socket', stream)) }
    await setUp(9, { agents: { http: agent as unknown as http.Agent } }).preconnect()
    expect(onFree).not.toHaveBeenCalled()
  })

  it('rejects if the server closes it during the handshake', async () => {
    const server = await startRecordingServer()
    server.respond = socket => socket.destroy()
    const { preconnect, place } = setUp(server.port, { scheme: 'https', agents: { https: trusting() } })
    const message = `The connection to ${place} failed (ECONNRESET).`
    expect(await failureOf(preconnect())).toMatchObject({ code: 'VKIT_CONNECTION', message })
  })

  it.each(['timeoutMs', 'the deadline'])('rejects, and is closed, if the handshake is longer than %s', async what => {
    const clock = new FakeClock()
    const server = await startRecordingServer()
    const requested = new Promise<void>(resolve => (server.respond = () => resolve()))
    const agents = { https: trusting() }
    const { preconnect, deadline, place } = setUp(server.port, { scheme: 'https', agents, clock })
    const cancelled = new Error('cancelled')
    const reason = reasonOf(preconnect())
    await requested
    if (what === 'timeoutMs') await clock.advance(5_000)
    else deadline.cancel(cancelled)
    const message = `No connection to ${place} within 5000 ms.`
    if (what === 'timeoutMs') expect(await reason).toMatchObject({ code: 'VKIT_TIMEOUT', message })
    else expect(await reason).toBe(cancelled)
    await server.closed()
    expect(clock.sleepers).toBe(0)
  })

  it('is not opened if the deadline ends while its request is created', async () => {
    const server = await startRecordingServer()
    const { preconnect, deadline } = setUp(server.port)
    const cancelled = new Error('cancelled')
    whenRequestIsCreated(() => deadline.cancel(cancelled))
    expect(await reasonOf(preconnect())).toBe(cancelled)
    await nextTurn()
    expect(server.connections).toEqual([])
  })

  it('is closed if the deadline ends while the agent hands it over', async () => {
    const server = await startRecordingServer()
    let open = 0
    class EndingAgent extends http.Agent {
      override createConnection(): Socket {
        queueMicrotask(() => deadline.cancel(cancelled))
        open++
        return connect(server.port, '127.0.0.1').on('close', () => open--)
      }
    }
    const { preconnect, deadline } = setUp(server.port, {
      agents: { http: agentOf(new EndingAgent({ keepAlive: true })) },
    })
    const cancelled = new Error('cancelled')
    expect(await reasonOf(preconnect())).toBe(cancelled)
    await nextTurn()
    expect(open).toBe(0)
  })

  it('is not opened after the deadline', async () => {
    const server = await startRecordingServer()
    const { preconnect, deadline } = setUp(server.port)
    const cancelled = new Error('cancelled')
    deadline.cancel(cancelled)
    expect(await reasonOf(preconnect())).toBe(cancelled)
    expect(server.connections).toEqual([])
  })
})
