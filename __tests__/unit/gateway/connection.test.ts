import { describe, expect, it, jest } from '@jest/globals'
import http from 'node:http'
import https from 'node:https'
import { makeAgent } from '../../../lib/gateway/connection.js'
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
