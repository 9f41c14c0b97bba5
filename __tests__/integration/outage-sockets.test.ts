import { describe, expect, it } from '@jest/globals'
import { HttpsProxyAgent } from 'https-proxy-agent'
import http from 'node:http'
import net from 'node:net'
import { VKitClient, type VKitClientOptions } from '../../lib/index.js'
import { FakeClock } from '../../lib/testing/index.js'
import { failureOf } from '../support/failure.js'
import { afterThisTest, recordEvents } from '../support/gateway.js'
import { startRecordingServer } from '../support/recording-server.js'

const nextTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

function setUp(port: number, options: VKitClientOptions = {}) {
  const clock = new FakeClock()
  const { types, onEvent } = recordEvents()
  const client = new VKitClient({
    appSecret: 'secret',
    baseUrl: `http://127.0.0.1:${port}`,
    clock,
    onEvent,
    ...options,
  })
  afterThisTest(() => client.close())
  const count = (type: string): number => types().filter(each => each === type).length
  /** Calls for that many users. `codes` has the code of each call that has failed. */
  const callAll = (users: number) => {
    const codes: string[] = []
    const done = Array.from({ length: users }, async (_, i) => {
      codes.push((await failureOf(client.getSessionToken(`user${i}`))).code)
    })
    return { codes, all: Promise.all(done) }
  }
  return { clock, client, count, callAll }
}

/** Waits until `isTrue`. In each turn of the event loop, `clock` advances by 1 ms. */
async function until(isTrue: () => boolean, clock?: FakeClock): Promise<void> {
  while (!isTrue()) {
    await nextTurn()
    await clock?.advance(1)
  }
}

describe('a gateway that resets every connection', () => {
  it('is not sent a request for each of 5,000 users', async () => {
    const server = await startRecordingServer()
    server.respond = socket => void socket.resetAndDestroy()
    const { client, clock, count, callAll } = setUp(server.port)
    const { codes, all } = callAll(5_000)
    await until(() => count('circuit-open') === 1)
    // A call that waits for a retry is not sent again.
    await until(() => codes.length === 5_000, clock)
    await all
    expect(codes.filter(code => code !== 'VKIT_CONNECTION' && code !== 'VKIT_UNAVAILABLE')).toEqual([])
    expect(server.connections.length).toBeLessThanOrEqual(150)
    expect(client.stats()).toMatchObject({ queued: 0, inFlight: 0 })
  })
})

describe('a gateway that accepts connections and never responds', () => {
  it('makes most of 1,000 users wait for one timeout, and none for more than two', async () => {
    const server = await startRecordingServer()
    server.respond = () => undefined
    const { clock, callAll } = setUp(server.port)
    const { codes, all } = callAll(1_000)
    await until(() => server.requests.length === 50)
    await clock.advance(5_500)
    expect(codes.length).toBeGreaterThanOrEqual(940)
    await until(() => server.requests.length >= 50)
    await clock.advance(5_000)
    await all
    expect(server.requests.length).toBeLessThanOrEqual(100)
  })

  it('opens the circuit for callers with a deadline of 3 s, even without a cache', async () => {
    const server = await startRecordingServer()
    server.respond = () => undefined
    const { clock, client, count, callAll } = setUp(server.port, { cache: false, deadlineMs: 3_000 })
    const { all } = callAll(45)
    await until(() => server.requests.length === 45)
    await clock.advance(3_000)
    await all
    expect(count('circuit-open')).toBe(1)
    expect(await failureOf(client.getSessionToken('later'))).toMatchObject({ attempts: 0, refusedBy: 'circuit' })
  })
})

describe('a proxy that never responds to CONNECT', () => {
  it('makes each attempt time out, until the circuit opens', async () => {
    const proxy = await startRecordingServer()
    proxy.respond = () => undefined
    const agent = new HttpsProxyAgent(`http://127.0.0.1:${proxy.port}`)
    afterThisTest(async () => agent.destroy())
    const { clock, client, count, callAll } = setUp(0, {
      baseUrl: 'https://127.0.0.1:9',
      agent: { https: agent },
      timeoutMs: 1_000,
      deadlineMs: 5_000,
    })
    const one = failureOf(client.getSessionToken('one'))
    for (let attempt = 1; attempt <= 3; attempt++) {
      await until(() => proxy.requests.length === attempt)
      await clock.advance(1_200)
    }
    expect(await one).toMatchObject({ code: 'VKIT_TIMEOUT', retryable: true, attempts: 3 })
    const { all } = callAll(40)
    await until(() => proxy.requests.length === 43)
    await clock.advance(1_000)
    expect(count('circuit-open')).toBe(1)
    await all
  })
})

describe("the connections of the caller's own agent", () => {
  it('cannot be limited if the agent has no queue, and calls still end with VKIT_TIMEOUT', async () => {
    const server = await startRecordingServer()
    server.respond = () => undefined
    // Old agents for proxies looked like this: maxSockets has no effect.
    const agent = {
      maxSockets: 1,
      addRequest: (request: http.ClientRequest) => request.onSocket(net.connect(server.port, '127.0.0.1')),
    }
    const { clock, client, callAll } = setUp(server.port, { agent: { http: agent }, maxRetries: 0 })
    const { codes, all } = callAll(3)
    await until(() => server.requests.length === 3)
    await clock.advance(5_000)
    await all
    expect(new Set(codes)).toEqual(new Set(['VKIT_TIMEOUT']))
    expect(client.stats().inFlight).toBe(0)
  })

  it.each([
    ['timeoutMs', { timeoutMs: 5_000, deadlineMs: 15_000 }],
    ['deadlineMs', { timeoutMs: 15_000, deadlineMs: 5_000 }],
  ])('are all used by other requests: %s is not counted against the gateway', async (_, limits) => {
    const server = await startRecordingServer()
    server.respond = () => undefined
    const agent = new http.Agent({ maxSockets: 1 })
    afterThisTest(async () => agent.destroy())
    http.get({ host: '127.0.0.1', port: server.port, agent }).on('error', () => undefined)
    await until(() => server.requests.length === 1)
    const { clock, client } = setUp(server.port, { agent: { http: agent }, maxRetries: 0, ...limits })
    for (let user = 1; user <= 5; user++) {
      const failure = failureOf(client.getSessionToken(`user${user}`))
      await until(() => Object.keys(agent.requests).length > 0)
      await clock.advance(5_000)
      expect(await failure).toMatchObject({ code: 'VKIT_TIMEOUT', attempts: 0 })
    }
    expect(client.stats()).toMatchObject({ circuit: 'closed', failingKeys: 0 })
  })
})
