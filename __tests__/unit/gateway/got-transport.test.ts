import { describe, expect, it } from '@jest/globals'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import http from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import { inspect } from 'node:util'
import { systemClock, type Clock } from '../../../lib/core/clock.js'
import { Deadline } from '../../../lib/core/deadline.js'
import { Events } from '../../../lib/core/events.js'
import type { Agents } from '../../../lib/gateway/connection.js'
import { GotTransport } from '../../../lib/gateway/got-transport.js'
import type { GatewayResponse } from '../../../lib/gateway/response.js'
import type { ExchangeRequest } from '../../../lib/gateway/transport.js'
import { assertNoSecret, FakeClock } from '../../../lib/testing/index.js'
import { failureOf, reasonOf } from '../../support/failure.js'
import { afterThisTest } from '../../support/gateway.js'
import { respondWithToken, startRecordingServer, type RecordingServer } from '../../support/recording-server.js'

const SECRET = 'sk-THE-APP-SECRET'
const BODY = '{"identity":"user","scopes":[]}'
const proxyEnv = (): undefined => undefined
const TOKEN = { sessionToken: 'token-of-user', expiresAt: '2099-01-01T00:00:00Z', identity: 'user' }

interface Setup {
  readonly server: RecordingServer
  readonly events: Events
  readonly deadline: Deadline
  readonly exchange: (request?: Partial<ExchangeRequest>) => Promise<GatewayResponse>
}

async function setUp(clock: Clock = systemClock): Promise<Setup> {
  const server = await startRecordingServer()
  const events = new Events()
  const endpoint = (): URL => new URL(`http://127.0.0.1:${server.port}/v1/sessions`)
  const transport = new GotTransport({
    endpoint,
    timeoutMs: 5_000,
    maxConnections: 50,
    agents: {},
    proxyEnv,
    clock,
    events,
  })
  const deadline = new Deadline(systemClock, 60_000, () => new Error('the deadline'))
  afterThisTest(async () => {
    deadline.clear()
    transport.close()
  })
  const exchange: Setup['exchange'] = request =>
    transport.exchange({ secret: SECRET, identity: 'user', body: BODY, deadline, timeoutMs: 5_000, ...request })
  return { server, events, deadline, exchange }
}

/** Lets `respond` handle the server's next request. Later requests get a token. */
function respondOnce(server: RecordingServer, respond: (socket: Socket) => void): void {
  server.respond = socket => {
    server.respond = respondWithToken
    respond(socket)
  }
}

/** Resolves when the server receives the next request. The server responds with only `text`. */
function untilRequested(server: RecordingServer, text = ''): Promise<Socket> {
  return new Promise(resolve => {
    respondOnce(server, socket => {
      socket.write(text)
      resolve(socket)
    })
  })
}

/** Does not use `events.once`, which rejects on the reset that a client sends if bytes are unread. */
function untilClosed(socket: Socket): Promise<void> {
  return new Promise(resolve => (socket.closed ? resolve() : socket.once('close', () => resolve())))
}

const ok = (length: number, head = ''): string => `HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n${head}\r\n`

describe('one exchange', () => {
  it('resolves with the JSON object and the date of the response', async () => {
    const { server, exchange } = await setUp()
    const body = JSON.stringify(TOKEN)
    const date = 'Tue, 01 Jan 2030 00:00:00 GMT'
    respondOnce(server, socket => socket.write(ok(body.length, `date: ${date}\r\n`) + body))
    expect(await exchange()).toEqual({ status: 200, requestId: undefined, body: TOKEN, dateMs: Date.parse(date) })
  })

  it('sends one POST with the bearer token, these headers and the body', async () => {
    const { server, exchange } = await setUp()
    await exchange()
    const [head = '', body] = server.requests.join('').split('\r\n\r\n')
    expect(body).toBe(BODY)
    expect(head.split('\r\n')).toEqual([
      'POST /v1/sessions HTTP/1.1',
      'content-type: application/json',
      'accept: application/json',
      'accept-encoding: identity',
      `content-length: ${BODY.length}`,
      expect.stringMatching(/^user-agent: videokit-nodejs\/\S+ node\/\d+$/),
      `Host: 127.0.0.1:${server.port}`,
      `authorization: Bearer ${SECRET}`,
      'Connection: keep-alive',
    ])
  })

  it('calls onDispatch when it has a socket, before it sends the request', async () => {
    const { server, exchange } = await setUp()
    const seen: number[] = []
    await exchange({ onDispatch: () => seen.push(server.requests.length) })
    expect(seen).toEqual([0])
  })

  it('reuses one connection for consecutive exchanges', async () => {
    const { server, exchange } = await setUp()
    for (let i = 0; i < 5; i++) await exchange()
    expect([server.connections.length, server.requests.length]).toEqual([1, 5])
  })

  it.each<[string, Agents, number]>([
    ['maxConnections', {}, 400],
    ['maxSockets of an agent of the caller', { http: new http.Agent({ maxSockets: 7 }) }, 7],
    ['maxTotalSockets of that agent', { http: new http.Agent({ maxSockets: 7, maxTotalSockets: 5 }) }, 5],
    ['one connection of that agent', { http: new http.Agent({ maxSockets: 1 }) }, 1],
    [
      'maxConnections if the limits of the agent are not numbers of connections',
      { http: Object.assign(new http.Agent(), { maxSockets: 0, maxTotalSockets: NaN }) },
      400,
    ],
    ['maxConnections if the agent allows more', { http: new http.Agent({ maxSockets: 500 }) }, 400],
    ['maxConnections if the agent is for another scheme', { https: new https.Agent({ maxSockets: 7 }) }, 400],
  ])('limits concurrent exchanges to %s', (_, agents, max) => {
    const endpoint = (): URL => new URL('http://127.0.0.1/v1/sessions')
    const options = {
      endpoint,
      timeoutMs: 5_000,
      maxConnections: 400,
      agents,
      proxyEnv,
      clock: systemClock,
      events: new Events(),
    }
    expect(new GotTransport(options).maxConnections).toBe(max)
  })
})

describe('an exchange that fails', () => {
  const tooLong = ' '.repeat(64 * 1024 + 1)

  it.each<[string, (socket: Socket) => void, object]>([
    [
      'a connection reset',
      socket => socket.resetAndDestroy(),
      { code: 'VKIT_CONNECTION', retryable: true, cause: { code: 'ECONNRESET' } },
    ],
    [
      'a truncated response',
      socket => socket.end(`${ok(JSON.stringify(TOKEN).length + 1)}${JSON.stringify(TOKEN)}`),
      { code: 'VKIT_CONNECTION', retryable: true, cause: { code: 'ECONNRESET' } },
    ],
    [
      'a body over 64 KiB',
      socket => socket.write(ok(tooLong.length) + tooLong),
      { code: 'VKIT_INVALID_RESPONSE', message: expect.stringContaining('sent more than 64 KiB.') },
    ],
    [
      'headers over 16 KiB',
      socket => socket.write(ok(0, `x: ${'y'.repeat(16 * 1024)}\r\n`)),
      { code: 'VKIT_INVALID_RESPONSE', message: expect.stringContaining('sent more than 16 KiB of headers.') },
    ],
    [
      'text that is not HTTP',
      socket => socket.write('SSH-2.0-OpenSSH_9.6\r\n'),
      { code: 'VKIT_INVALID_RESPONSE', message: expect.stringContaining('is not valid HTTP') },
    ],
    [
      'an unrequested 101',
      socket => socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
      {
        ...{ code: 'VKIT_INVALID_RESPONSE', status: 101 },
        message: expect.stringMatching(/^http:\S+ sent an unexpected 101 response\.$/),
      },
    ],
    [
      'a redirect, which is not followed',
      socket => socket.write('HTTP/1.1 307 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n'),
      { code: 'VKIT_REDIRECT', status: 307 },
    ],
    [
      'a 503',
      socket => socket.write('HTTP/1.1 503 Down\r\ncontent-length: 0\r\n\r\n'),
      { code: 'VKIT_UNAVAILABLE', status: 503, retryable: true },
    ],
  ])('rejects with a typed error after %s', async (_, respond, expected) => {
    const { server, exchange } = await setUp()
    respondOnce(server, respond)
    const error = await failureOf(exchange())
    expect(error).toMatchObject(expected)
    assertNoSecret(error, SECRET)
    expect(server.requests).toHaveLength(1)
    expect(await exchange()).toMatchObject({ body: TOKEN })
  })

  it('accepts a body of 64 KiB', async () => {
    const { server, exchange } = await setUp()
    const body = JSON.stringify(TOKEN).padEnd(64 * 1024)
    respondOnce(server, socket => socket.write(ok(body.length) + body))
    expect(await exchange()).toMatchObject({ body: TOKEN })
  })

  it('hides the secret from got and from listeners of its diagnostics channels', async () => {
    const { server, exchange } = await setUp()
    const published: unknown[] = []
    const record = (message: unknown): void => void published.push(inspect(message, { depth: Infinity }))
    const channels = ['create', 'start', 'error'].map(name => `got:request:${name}`)
    for (const channel of channels) subscribe(channel, record)
    afterThisTest(async () => channels.forEach(channel => unsubscribe(channel, record)))
    await exchange()
    respondOnce(server, socket => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n'))
    await failureOf(exchange())
    expect(published.length).toBeGreaterThan(1)
    assertNoSecret(published, SECRET)
  })
})

describe('the timeout and the deadline of an exchange', () => {
  it.each(['', ok(100), `${ok(100)}{`])(
    'reject with VKIT_TIMEOUT after timeoutMs if the server sent only %j',
    async sent => {
      const clock = new FakeClock()
      const { server, exchange } = await setUp(clock)
      const requested = untilRequested(server, sent)
      const failure = failureOf(exchange())
      const socket = await requested
      await clock.advance(4_999)
      expect(socket.destroyed).toBe(false)
      await clock.advance(1)
      expect(await failure).toMatchObject({ code: 'VKIT_TIMEOUT', message: expect.stringContaining('within 5000 ms') })
      await untilClosed(socket)
      expect(clock.sleepers).toBe(0)
    },
  )

  it('leave no timer behind', async () => {
    const clock = new FakeClock()
    const { exchange } = await setUp(clock)
    await exchange()
    expect(clock.sleepers).toBe(0)
  })

  it('reject with the reason of the deadline, and close the connection', async () => {
    const { server, deadline, exchange } = await setUp()
    const requested = untilRequested(server, ok(100))
    const reason = reasonOf(exchange())
    const socket = await requested
    const cancelled = new Error('cancelled')
    deadline.cancel(cancelled)
    expect(await reason).toBe(cancelled)
    await untilClosed(socket)
  })

  it('send nothing after the deadline', async () => {
    const { server, deadline, exchange } = await setUp()
    const cancelled = new Error('cancelled')
    deadline.cancel(cancelled)
    expect(await reasonOf(exchange())).toBe(cancelled)
    expect(server.connections).toEqual([])
  })
})

describe('a kept-alive connection that the server has closed', () => {
  const close = (socket: Socket): void => void socket.destroy()

  it('is replaced once, with a resend event', async () => {
    const { server, events, exchange } = await setUp()
    await exchange()
    respondOnce(server, close)
    expect(await exchange()).toMatchObject({ body: TOKEN })
    expect([server.connections.length, server.requests.length, events.count('resend')]).toEqual([2, 3, 1])
  })

  it('is not replaced twice', async () => {
    const { server, events, exchange } = await setUp()
    await exchange()
    server.respond = close
    expect(await failureOf(exchange())).toMatchObject({ code: 'VKIT_CONNECTION', cause: { code: 'ECONNRESET' } })
    expect([server.requests.length, events.count('resend')]).toEqual([3, 1])
  })

  it('is not replaced if a part of a response arrived', async () => {
    const { server, events, exchange } = await setUp()
    await exchange()
    respondOnce(server, socket => socket.end('HTTP/1.1 200 OK\r\n'))
    expect(await failureOf(exchange())).toMatchObject({ code: 'VKIT_CONNECTION' })
    expect([server.requests.length, events.count('resend')]).toEqual([2, 0])
  })

  it('causes the other idle connections to be closed', async () => {
    const { server, exchange } = await setUp()
    await Promise.all([exchange(), exchange(), exchange()])
    respondOnce(server, close)
    await exchange()
    await exchange()
    expect(server.connections).toHaveLength(4)
  })
})
