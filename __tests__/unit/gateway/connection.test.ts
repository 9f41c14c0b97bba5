import { describe, expect, it, jest } from '@jest/globals'
import http from 'node:http'
import https from 'node:https'
import { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { makeAgent, takeSocket } from '../../../lib/gateway/connection.js'
import { ProxyAgent } from '../../../lib/gateway/proxy-agent.js'
import { ProxyError } from '../../../lib/gateway/proxy-error.js'
import { networkError } from '../../../lib/gateway/response-errors.js'
import { proxyEnvironment } from '../../../lib/options/proxy-environment.js'
import { afterThisTest } from '../../support/gateway.js'
import { startRecordingServer } from '../../support/recording-server.js'

const proxyEnv = { HTTPS_PROXY: 'http://user:pa55word@proxy:3128' }
const PLACE = 'https://gateway.video.io:443/v1/sessions'

function optionsOf(url: string, env?: typeof proxyEnv): Readonly<Record<string, unknown>> {
  const agent = makeAgent(new URL(url), { proxyEnv: env, timeoutMs: 5_000 })
  expect(agent).toBeInstanceOf(url.startsWith('https:') ? https.Agent : http.Agent)
  return Reflect.get(agent, 'options') as Readonly<Record<string, unknown>>
}

describe("the client's own agent", () => {
  it('uses a proxy for https only, and only if Node does', () => {
    expect(optionsOf('https://gateway.video.io', proxyEnv)['proxyEnv']).toBe(proxyEnv)
    expect(optionsOf('https://gateway.video.io')['proxyEnv']).toBeNull()
    expect(optionsOf('http://127.0.0.1', proxyEnv)['proxyEnv']).toBeNull()
  })

  it('keeps connections alive, and requires TLS 1.2', () => {
    const expected = { keepAlive: true, scheduling: 'lifo', minVersion: 'TLSv1.2' }
    for (const env of [proxyEnv, undefined]) expect(optionsOf('https://gateway.video.io', env)).toMatchObject(expected)
  })
})

describe("the client's own agent for a proxy", () => {
  const make = (): http.Agent => makeAgent(new URL('https://gateway.video.io'), { proxyEnv, timeoutMs: 5_000 })

  it('waits longer for a tunnel than an exchange does, whose own timer ends it first', async () => {
    const server = await startRecordingServer()
    const setTimer = jest.spyOn(globalThis, 'setTimeout')
    afterThisTest(async () => setTimer.mockRestore())
    const agent = make()
    afterThisTest(async () => agent.destroy())
    if (!(agent instanceof ProxyAgent)) throw new Error('expected a ProxyAgent')
    agent.createConnection({ host: '127.0.0.1', port: server.port }, () => undefined).on('error', () => undefined)
    expect(setTimer.mock.calls.map(([, ms]) => ms)).toContain(6_000)
  })

  it('reports a URL that Node does not accept, without the password in it', () => {
    const on = jest.spyOn(http.Agent.prototype, 'on').mockImplementationOnce(() => {
      throw Object.assign(new TypeError(proxyEnv.HTTPS_PROXY), { code: 'ERR_INVALID_URL' })
    })
    afterThisTest(async () => on.mockRestore())
    const message = 'HTTPS_PROXY is not a valid URL of a proxy.'
    const expected = { code: 'VKIT_CONFIG', message, cause: { code: 'ERR_INVALID_URL' } }
    expect(make).toThrow(expect.objectContaining({ ...expected, cause: expect.objectContaining(expected.cause) }))
    expect(make()).toBeInstanceOf(ProxyAgent)
  })
})

it("a connection of the client's own agent gets no listener for each request", async () => {
  const server = await startRecordingServer()
  const agent = makeAgent(new URL('http://127.0.0.1'), { proxyEnv: undefined, timeoutMs: 5_000 })
  afterThisTest(async () => agent.destroy())
  for (let i = 0; i < 3; i++) {
    const request = http.request({ host: '127.0.0.1', port: server.port, agent, method: 'POST' })
    request.on('socket', takeSocket).end('{}')
    await new Promise(resolve => request.on('response', response => response.resume().on('end', resolve)))
    await nextTurn()
  }
  const sockets = Object.values(agent.freeSockets).flatMap(kept => kept ?? [])
  expect(sockets.map(socket => socket.listenerCount('data'))).toEqual([1])
})

describe('the proxy variables', () => {
  const agent = https.globalAgent
  const replaceGlobalAgent = (options: object): void => {
    afterThisTest(async () => void (https.globalAgent = agent))
    https.globalAgent = new https.Agent(options)
  }

  it("are those of Node's own agent", () => {
    replaceGlobalAgent({ proxyEnv })
    expect(proxyEnvironment()).toBe(proxyEnv)
  })

  it.each([
    {},
    { proxyEnv: null },
    { proxyEnv: 'http://proxy' },
    // Node uses these only for http.
    { proxyEnv: { HTTPS_PROXY: '', HTTP_PROXY: 'http://proxy', ALL_PROXY: 'http://proxy' } },
  ])('are not used with %j', options => {
    replaceGlobalAgent(options)
    expect(proxyEnvironment()).toBeUndefined()
  })
})

describe('ProxyAgent', () => {
  it('closes also the connections that no request has yet', async () => {
    const server = await startRecordingServer()
    const agent = new ProxyAgent({ proxyEnv: {}, connectTimeoutMs: 5_000 })
    const socket = agent.createConnection({ host: '127.0.0.1', port: server.port }, () => undefined)
    socket.on('error', () => undefined)
    agent.destroy()
    expect(socket.destroyed).toBe(true)
  })

  it('forgets the connections that have closed', () => {
    const agent = new ProxyAgent({ proxyEnv: {}, connectTimeoutMs: 5_000 })
    const socket = agent.createConnection({ host: '127.0.0.1', port: 9 }, () => undefined)
    socket.emit('close')
    const destroy = jest.spyOn(socket, 'destroy')
    agent.destroy()
    expect(destroy).not.toHaveBeenCalled()
    socket.on('error', () => undefined).destroy()
  })

  it('tells a failure of the proxy from one of the gateway behind it, and leaves a connection that came in time', () => {
    jest.useFakeTimers()
    afterThisTest(async () => void jest.useRealTimers())
    const [toProxy, toGateway, error] = [new Socket(), new Socket(), Object.assign(new Error(), { code: 'ECONNRESET' })]
    const open = jest.spyOn(https.Agent.prototype, 'createConnection').mockReturnValueOnce(toProxy)
    afterThisTest(async () => open.mockRestore())
    const onConnection = jest.fn()
    new ProxyAgent({ proxyEnv: {}, connectTimeoutMs: 5_000 }).createConnection({}, onConnection)
    const [[, settle] = []] = open.mock.calls
    settle?.(error, toProxy)
    settle?.(error, toGateway)
    settle?.(null, toProxy)
    expect(onConnection.mock.calls).toEqual([
      [expect.any(ProxyError), toProxy],
      [error, toGateway],
      [null, toProxy],
    ])
    jest.advanceTimersByTime(5_000)
    expect(toProxy.destroyed).toBe(false)
  })

  // The server is silent, as a proxy can be, or the gateway behind one.
  it.each([
    ['closes a connection that no request has in time', false],
    ['leaves a connection that the agent has', true],
  ])('%s', async (_, isOfAgent) => {
    const server = await startRecordingServer()
    server.respond = () => undefined
    const setTimer = jest.spyOn(globalThis, 'setTimeout')
    afterThisTest(async () => setTimer.mockRestore())
    const agent = new ProxyAgent({ proxyEnv: {}, connectTimeoutMs: 123_456 })
    afterThisTest(async () => agent.destroy())
    const socket = agent.createConnection({ host: '127.0.0.1', port: server.port }, () => undefined)
    if (isOfAgent) socket.on('free', () => undefined)
    const [onTimeout] = setTimer.mock.calls.find(([, ms]) => ms === 123_456) ?? []
    onTimeout?.()
    expect(socket.destroyed).toBe(!isOfAgent)
  })
})

describe('a proxy that opens no tunnel', () => {
  const failure = (code: string, statusCode?: number): object =>
    networkError(
      new ProxyError(Object.assign(new Error('via http://proxy.internal:3128'), { code, statusCode })),
      PLACE,
    )

  it.each([
    [
      'ERR_PROXY_TUNNEL',
      407,
      'VKIT_CONNECTION',
      false,
      `The proxy in HTTPS_PROXY refused the connection to ${PLACE} (407).`,
    ],
    [
      'ERR_PROXY_TUNNEL',
      503,
      'VKIT_CONNECTION',
      true,
      `The proxy in HTTPS_PROXY refused the connection to ${PLACE} (503).`,
    ],
    [
      'ECONNREFUSED',
      undefined,
      'VKIT_CONNECTION',
      true,
      'The connection to the proxy in HTTPS_PROXY failed (ECONNREFUSED).',
    ],
    [
      'ERR_PROXY_TUNNEL',
      NaN,
      'VKIT_CONNECTION',
      true,
      'The connection to the proxy in HTTPS_PROXY failed (ERR_PROXY_TUNNEL).',
    ],
    [
      'CERT_HAS_EXPIRED',
      undefined,
      'VKIT_TLS',
      false,
      'No secure connection to the proxy in HTTPS_PROXY (CERT_HAS_EXPIRED).',
    ],
  ])('fails with a typed error: %s, %s', (code, status, expected, retryable, message) => {
    expect(failure(code, status)).toMatchObject({ code: expected, retryable, message, cause: { code } })
  })
})
