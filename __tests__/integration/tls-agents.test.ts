import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { HttpsProxyAgent } from 'https-proxy-agent'
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import net, { type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import tls from 'node:tls'
import { VKitClient, type VKitClientOptions } from '../../lib/index.js'
import { assertNoSecret, FakeClock } from '../../lib/testing/index.js'
import { makeCertificate } from '../support/certificates.js'
import { failureOf, reasonOf } from '../support/failure.js'
import { afterThisTest } from '../support/gateway.js'
import { startProxy, type Proxy } from '../support/proxy.js'
import { respondWithToken, startRecordingServer, type RecordingServer } from '../support/recording-server.js'

const SECRET = 'sk-THE-APP-SECRET'
const good = makeCertificate()
const impostor = makeCertificate({ hosts: ['impostor.example'] })
const TLS = { name: 'VKitConnectionError', code: 'VKIT_TLS', retryable: false, attempts: 1 }
const acceptAll = (): undefined => undefined
const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const

function makeClient(server: { port: number }, agent: object, options: VKitClientOptions = {}): VKitClient {
  const baseUrl = `https://127.0.0.1:${server.port}`
  const client = new VKitClient({ appSecret: SECRET, baseUrl, maxRetries: 0, agent: { https: agent }, ...options })
  afterThisTest(() => client.close())
  return client
}

function makeAgent(options: https.AgentOptions): https.Agent {
  const agent = new https.Agent(options)
  afterThisTest(async () => agent.destroy())
  return agent
}

/** Sends a request of other code through the same agent. Resolves to whether its TLS session was resumed. */
async function requestByOthers(server: RecordingServer, agent: https.Agent): Promise<boolean> {
  const { port } = server
  // The client uses the same options, and the agent shares connections and sessions only between equal options.
  const options = { host: '127.0.0.1', port, agent, method: 'POST', rejectUnauthorized: true }
  const request = https.request(options)
  request.end('{"identity":"other"}')
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  const { socket } = response
  const isResumed = socket instanceof tls.TLSSocket && socket.isSessionReused()
  response.resume()
  await once(response, 'end')
  await nextTurn() // The agent takes the connection back.
  return isResumed
}

/** Checks that only handshakes arrived at the server. */
async function expectSilence(server: RecordingServer): Promise<void> {
  await server.closed()
  expect(server.connections.join('')).toBe('')
}

describe.each(VERSIONS)('an impostor with a trusted certificate for another name, %s', maxVersion => {
  const start = (): Promise<RecordingServer> => startRecordingServer({ ...impostor, maxVersion })

  it("is refused by a caller's agent that sets only a CA", async () => {
    const server = await start()
    const error = await failureOf(makeClient(server, makeAgent({ ca: impostor.cert })).getSessionToken('user'))
    expect(error).toMatchObject({ ...TLS, cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' } })
    await expectSilence(server)
  })

  it.each([true, false])(
    'receives nothing through an agent that accepts every name (keepAlive: %s)',
    async keepAlive => {
      const server = await start()
      const client = makeClient(server, makeAgent({ ca: impostor.cert, keepAlive, checkServerIdentity: acceptAll }))
      const error = await failureOf(client.getSessionToken('user'))
      expect(error).toMatchObject(TLS)
      expect(error.message).toBe(
        `The connection to https://127.0.0.1:${server.port}/v1/sessions is not secure: the certificate is not valid for 127.0.0.1. The app secret was not sent.`,
      )
      expect(await failureOf(client.getSessionToken('other'))).toMatchObject(TLS)
      await expectSilence(server)
    },
  )

  it.each(['session', 'connection'])('receives no app secret on a %s that other code left in the agent', async kept => {
    const server = await start()
    const keepAlive = kept === 'connection'
    const agent = makeAgent({ ca: impostor.cert, keepAlive, maxSockets: 1, checkServerIdentity: acceptAll })
    server.respond = (socket, request) => {
      respondWithToken(socket, request)
      if (!keepAlive) socket.end()
    }
    await requestByOthers(server, agent)
    if (!keepAlive) expect(await requestByOthers(server, agent)).toBe(true)
    expect(await failureOf(makeClient(server, agent).getSessionToken('user'))).toMatchObject(TLS)
    agent.destroy()
    await server.closed()
    assertNoSecret(server.connections, SECRET)
    expect(server.connections.join('')).not.toContain('user')
  })
})

describe('an agent whose checks are switched off after the client was created', () => {
  it.each(VERSIONS)('sends nothing to a server whose certificate is not trusted, %s', async maxVersion => {
    const server = await startRecordingServer({ ...good, maxVersion })
    const agent = makeAgent({})
    const client = makeClient(server, agent)
    agent.options.rejectUnauthorized = false
    const error = await failureOf(client.getSessionToken('user'))
    expect(error).toMatchObject(TLS)
    expect(error.message).toContain('the certificate is not trusted. The app secret was not sent.')
    await expectSilence(server)
  })
})

describe('a private CA', () => {
  it.each([true, false])('is trusted if the agent has it as ca (keepAlive: %s)', async keepAlive => {
    const server = await startRecordingServer(good)
    const client = makeClient(server, makeAgent({ ca: good.cert, keepAlive }))
    for (const user of ['a', 'b', 'c']) expect((await client.getSessionToken(user)).identity).toBe(user)
    expect(server.connections).toHaveLength(keepAlive ? 1 : 3)
  })

  it('is not trusted without the ca option', async () => {
    const server = await startRecordingServer(good)
    for (const agent of [makeAgent({}), undefined]) {
      const client = makeClient(server, agent as unknown as object)
      expect(await failureOf(client.getSessionToken('user'))).toMatchObject(TLS)
    }
    await expectSilence(server)
  })
})

describe('the servername of an agent', () => {
  it('is the name that the certificate must be for', async () => {
    const server = await startRecordingServer(impostor)
    const named = makeAgent({ ca: impostor.cert, servername: 'impostor.example' })
    expect((await makeClient(server, named).getSessionToken('user')).identity).toBe('user')
  })

  it('is refused if the certificate is not for it', async () => {
    const server = await startRecordingServer(good)
    const options = { ca: good.cert, servername: 'impostor.example', checkServerIdentity: acceptAll }
    const error = await failureOf(makeClient(server, makeAgent(options)).getSessionToken('user'))
    expect(error).toMatchObject(TLS)
    expect(error.message).toContain('the certificate is not valid for impostor.example')
    await expectSilence(server)
  })

  it('can be empty, and then no server name is sent', async () => {
    const server = await startRecordingServer(good)
    const client = makeClient(server, makeAgent({ ca: good.cert, servername: '' }), {
      baseUrl: `https://localhost:${server.port}`,
    })
    expect((await client.getSessionToken('user')).identity).toBe('user')
  })
})

describe.each(VERSIONS)('a certificate that an agent pins, %s', maxVersion => {
  it.each([true, false])('is checked on every new connection, and accepted (keepAlive: %s)', async keepAlive => {
    const server = await startRecordingServer({ ...good, maxVersion })
    const checkServerIdentity = jest.fn(tls.checkServerIdentity)
    const client = makeClient(server, makeAgent({ ca: good.cert, keepAlive, checkServerIdentity }))
    for (const user of ['a', 'b', 'c']) expect((await client.getSessionToken(user)).identity).toBe(user)
    expect(checkServerIdentity).toHaveBeenCalledTimes(keepAlive ? 1 : 3)
  })

  it('is accepted if other code left a session that can be resumed', async () => {
    const server = await startRecordingServer({ ...good, maxVersion })
    server.respond = (socket, request) => {
      respondWithToken(socket, request)
      socket.end()
    }
    const agent = makeAgent({ ca: good.cert, keepAlive: false })
    await requestByOthers(server, agent)
    expect(await requestByOthers(server, agent)).toBe(true)
    expect((await makeClient(server, agent).getSessionToken('user')).identity).toBe('user')
  })

  it('is accepted if other code left a connection that shows no certificate', async () => {
    const server = await startRecordingServer({ ...good, maxVersion })
    server.respond = (socket, request) => {
      server.respond = respondWithToken
      respondWithToken(socket, request)
      socket.end()
    }
    const agent = makeAgent({ ca: good.cert, keepAlive: true, maxSockets: 1 })
    await requestByOthers(server, agent)
    expect(await requestByOthers(server, agent)).toBe(true)
    expect((await makeClient(server, agent).getSessionToken('user')).identity).toBe('user')
    expect(server.connections).toHaveLength(3)
  })

  it.each(['a message', ''])('is refused if the check returns an Error with %j as its message', async message => {
    const server = await startRecordingServer({ ...good, maxVersion })
    const checkServerIdentity = (): Error => new Error(message && `not the pinned key: ${SECRET}`)
    const agent = makeAgent({ ca: good.cert, checkServerIdentity })
    const error = await failureOf(makeClient(server, agent).getSessionToken('user'))
    expect(error).toMatchObject(TLS)
    expect(error.message).toContain('/v1/sessions (certificate rejected).')
    assertNoSecret(error, SECRET)
    await expectSilence(server)
  })
})

describe('an agent that creates its own sockets', () => {
  type Connect = (options: tls.ConnectionOptions & net.TcpNetConnectOpts) => Duplex
  type Hand = (error: Error | null, socket: Duplex) => void

  class OwnAgent extends https.Agent {
    readonly #connect: Connect
    readonly #event: string | undefined
    last: Duplex | undefined

    /** Hands over the sockets of `connect` immediately, or when they have emitted `event`. */
    constructor(connect: Connect, event?: string) {
      super({ keepAlive: true, maxSockets: 1 })
      this.#connect = connect
      this.#event = event
    }

    override createConnection(options: http.ClientRequestArgs, hand?: Hand): Duplex | null | undefined {
      const socket = (this.last = this.#connect(options as Parameters<Connect>[0]))
      if (this.#event === undefined) return socket
      socket.once(this.#event, () => hand?.(null, socket))
      return undefined
    }
  }

  const connectSecurely: Connect = options => tls.connect({ ...options, ca: good.cert })

  function use(connect: Connect, event?: string): OwnAgent {
    const agent = new OwnAgent(connect, event)
    afterThisTest(async () => void agent.last?.destroy())
    return agent
  }

  it.each([undefined, 'connect', 'secureConnect'])('works with a TLS socket, handed over at event %s', async event => {
    const server = await startRecordingServer(good)
    const client = makeClient(server, use(connectSecurely, event))
    for (const user of ['a', 'b']) expect((await client.getSessionToken(user)).identity).toBe(user)
    expect(server.connections).toHaveLength(1)
  })

  it.each([undefined, 'connect', 'secureConnect'])(
    'sends nothing on a TLS socket that skips the checks, handed over at event %s',
    async event => {
      const unchecked: tls.ConnectionOptions[] = [
        { rejectUnauthorized: false },
        { ca: impostor.cert, checkServerIdentity: acceptAll },
      ]
      for (const extra of unchecked) {
        const server = await startRecordingServer(impostor)
        const agent = use(options => tls.connect({ ...options, ...extra }), event)
        expect(await failureOf(makeClient(server, agent).getSessionToken('user'))).toMatchObject(TLS)
        await expectSilence(server)
      }
    },
  )

  it('writes nothing until the handshake has ended and the certificate is checked', async () => {
    const steps: string[] = []
    const server = await startRecordingServer(good)
    const agent = use(options => {
      const checkServerIdentity: typeof tls.checkServerIdentity = (...args) => {
        steps.push('check')
        return tls.checkServerIdentity(...args)
      }
      const socket = tls.connect({ ...options, ca: good.cert, checkServerIdentity })
      socket.once('secureConnect', () => steps.push('secureConnect'))
      const write = socket.write.bind(socket) as (...args: unknown[]) => boolean
      return Object.assign(socket, {
        write: (...args: unknown[]) => {
          steps.push('write')
          return write(...args)
        },
      })
    })
    await makeClient(server, agent).getSessionToken('user')
    expect(steps.slice(0, 3)).toEqual(['check', 'secureConnect', 'write'])
  })

  it.each([undefined, 'connect'])('sends nothing on a socket without TLS, handed over at event %s', async event => {
    const server = await startRecordingServer()
    const agent = use(({ host, port }) => net.connect({ host, port } as net.TcpNetConnectOpts), event)
    const error = await failureOf(makeClient(server, agent).getSessionToken('user'))
    expect(error).toMatchObject(TLS)
    expect(error.message).toContain('agent.https opened one without TLS. The app secret was not sent.')
    expect((agent.last as Socket).bytesWritten).toBe(0)
    await expectSilence(server)
  })

  it.each([
    [undefined, false],
    [false, false],
    ['yes', false],
    [true, true],
  ])('sends to a JavaScript stream whose encrypted is %j: %s', async (encrypted, sends) => {
    const written: string[] = []
    const nothing = (): void => undefined
    const agent = use(() => {
      const stream: Duplex = new Duplex({
        read: nothing,
        write: (chunk: Buffer, _, done) => {
          written.push(chunk.toString())
          if (chunk.includes('}'))
            respondWithToken({ write: (text: string) => stream.push(text) } as unknown as Socket, chunk.toString())
          done()
        },
      })
      const methods = { ref: nothing, unref: nothing, setKeepAlive: nothing, setNoDelay: nothing, setTimeout: nothing }
      return Object.assign(stream, methods, encrypted !== undefined && { encrypted })
    })
    const minting = makeClient({ port: 9 }, agent).getSessionToken('user')
    if (sends) expect((await minting).identity).toBe('user')
    else expect(await failureOf(minting)).toMatchObject(TLS)
    expect(written.length > 0).toBe(sends)
  })

  it('fails with a retryable error if the connection ends during the handshake', async () => {
    const server = await startRecordingServer()
    server.respond = socket => socket.destroy()
    for (const agent of [makeAgent({ ca: good.cert }), use(connectSecurely), use(connectSecurely, 'connect')]) {
      const error = await failureOf(makeClient(server, agent).getSessionToken('user'))
      expect(error).toMatchObject({ code: 'VKIT_CONNECTION', retryable: true, cause: { code: 'ECONNRESET' } })
    }
    assertNoSecret(server.connections, SECRET)
  })

  it.each([undefined, 'connect'])('fails after timeoutMs if a handshake stalls (event %s)', async event => {
    const server = await startRecordingServer()
    const clock = new FakeClock()
    server.respond = () => void clock.advance(1_000)
    const client = makeClient(server, use(connectSecurely, event), { clock, timeoutMs: 1_000 })
    expect(await failureOf(client.getSessionToken('user'))).toMatchObject({ code: 'VKIT_TIMEOUT', attempts: 1 })
    await server.closed()
    assertNoSecret(server.connections, SECRET)
  })

  it('sends nothing if the caller has aborted before the socket is secure', async () => {
    const server = await startRecordingServer(good)
    const control = new AbortController()
    const agent = use(options => {
      const socket = connectSecurely(options)
      return socket.prependOnceListener('secureConnect', () => control.abort(new Error('left')))
    })
    const client = makeClient(server, agent)
    const call = client.getSessionToken('user', { signal: control.signal, cache: 'no-store' })
    expect(await reasonOf(call)).toBe(control.signal.reason)
    await expectSilence(server)
  })
})

describe('a reused connection', () => {
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning)

  afterEach(() => {
    process.off('warning', onWarning)
  })

  it('has as many listeners after fifty mints as after two', async () => {
    process.on('warning', onWarning)
    const server = await startRecordingServer(good)
    const sockets = new Set<Socket>()
    const agent = makeAgent({ ca: good.cert, keepAlive: true, maxSockets: 1 })
    agent.on('free', (socket: Socket) => sockets.add(socket))
    const client = makeClient(server, agent)
    const listeners = (): [string | symbol, number][] =>
      [...sockets].flatMap(socket =>
        socket.eventNames().map(name => [name, socket.listenerCount(name)] as [string | symbol, number]),
      )
    const mint = (index: number): Promise<unknown> => client.getSessionToken(`user${index}`)
    for (let index = 0; index < 2; index++) await mint(index)
    const early = listeners()
    for (let index = 2; index < 50; index++) await mint(index)
    await nextTurn()
    expect(server.connections).toHaveLength(1)
    expect(sockets.size).toBe(1)
    expect(listeners()).toEqual(early)
    expect(warnings).toEqual([])
  })
})

describe('https-proxy-agent', () => {
  function makeProxyAgent(proxy: Proxy, keepAlive: boolean, ca = good.cert): HttpsProxyAgent<string> {
    const agent = new HttpsProxyAgent(proxy.url, { keepAlive })
    // HttpsProxyAgent uses its constructor options only for the connection to the proxy.
    Object.assign(agent.options, { ca })
    afterThisTest(async () => agent.destroy())
    return agent
  }

  it.each([true, false])('mints with a private CA (keepAlive: %s)', async keepAlive => {
    const [server, proxy] = [await startRecordingServer(good), await startProxy()]
    const client = makeClient(server, makeProxyAgent(proxy, keepAlive))
    for (const user of ['a', 'b', 'c']) expect((await client.getSessionToken(user)).identity).toBe(user)
    expect(server.connections).toHaveLength(keepAlive ? 1 : 3)
    expect(proxy.heard.length).toBeGreaterThan(2)
    assertNoSecret(proxy.heard, SECRET)
  })

  it('sends nothing to a server that is not trusted or has another name', async () => {
    const proxy = await startProxy()
    for (const [certificate, ca] of [
      [good, impostor.cert],
      [impostor, impostor.cert],
    ] as const) {
      const server = await startRecordingServer(certificate)
      const client = makeClient(server, makeProxyAgent(proxy, true, ca))
      expect(await failureOf(client.getSessionToken('user'))).toMatchObject(TLS)
      await expectSilence(server)
    }
  })

  it('checks the certificate of the gateway even if its constructor disables the check', async () => {
    const [server, proxy] = [await startRecordingServer(good), await startProxy()]
    const agent = new HttpsProxyAgent(proxy.url, { rejectUnauthorized: false })
    afterThisTest(async () => agent.destroy())
    expect(await failureOf(makeClient(server, agent).getSessionToken('user'))).toMatchObject(TLS)
    await expectSilence(server)
  })

  it.each([407, 502, 503])('fails with a retryable error if the proxy responds %i', async status => {
    const [server, proxy] = [await startRecordingServer(good), await startProxy()]
    proxy.refusal = `HTTP/1.1 ${status} Refused\r\nContent-Length: 0\r\n\r\n`
    const client = makeClient(server, makeProxyAgent(proxy, true))
    expect(await failureOf(client.getSessionToken('user'))).toMatchObject({ code: 'VKIT_CONNECTION', retryable: true })
    assertNoSecret(proxy.heard, SECRET)
    proxy.refusal = undefined
    expect((await client.getSessionToken('other')).identity).toBe('other')
  })

  it('accepts no token from the proxy itself', async () => {
    const [server, proxy] = [await startRecordingServer(good), await startProxy()]
    const body = '{"sessionToken":"forged","expiresAt":"2099-01-01T00:00:00Z","identity":"user"}'
    proxy.refusal = `HTTP/1.1 201 Created\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    const client = makeClient(server, makeProxyAgent(proxy, true))
    expect(await failureOf(client.getSessionToken('user'))).toMatchObject({ code: 'VKIT_CONNECTION', retryable: true })
    expect(server.requests).toEqual([])
  })
})
