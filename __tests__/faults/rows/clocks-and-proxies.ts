import assert from 'node:assert/strict'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { assertNoSecret, FakeClock } from '../../../lib/testing/index.js'
import type { Context } from '../harness/context.js'
import { SECRET, type Row } from '../harness/row.js'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/** The clock of the gateway, which has the true time, and the local clock, which may be off. */
class TwoClocks {
  readonly truth: FakeClock
  readonly ours: FakeClock

  constructor(oursIsAheadByMs = 0) {
    this.truth = new FakeClock()
    this.ours = new FakeClock(this.truth.now() + oursIsAheadByMs)
  }

  async advance(ms: number): Promise<void> {
    await this.truth.advance(ms)
    await this.ours.advance(ms)
  }

  suspend(ms: number): void {
    this.truth.suspend(ms)
    this.ours.suspend(ms)
  }
}

/** Checks that no call returns an expired token, before and after `disturb`. */
async function neverExpired(t: Context, disturb: (clocks: TwoClocks) => void, aheadMs = 0): Promise<void> {
  const clocks = new TwoClocks(aheadMs)
  const gateway = await t.emulator({ clock: clocks.truth, lifetimeMs: 20 * MINUTE_MS })
  const client = t.client(gateway, { clock: clocks.ours })
  const expiries = new Map<string, number>()
  const check = async (): Promise<void> => {
    const mints = gateway.mints
    const token = await t.mint(client, 'user')
    // A background refresh may be in flight, so the expiry is recorded only for the token of this mint.
    if (gateway.mints > mints && !expiries.has(token)) expiries.set(token, clocks.truth.now() + gateway.lifetimeMs)
    while (client.stats().inFlight > 0) await clocks.ours.advance(0)
    const expiry = expiries.get(token) ?? clocks.truth.now() + gateway.lifetimeMs
    expiries.set(token, expiry)
    assert.ok(clocks.truth.now() < expiry, `expired ${clocks.truth.now() - expiry} ms ago`)
  }
  await check()
  const { mints } = gateway
  assert.equal(mints, 1)
  await clocks.advance(5 * MINUTE_MS)
  disturb(clocks)
  for (let minute = 0; minute < 45; minute++) {
    await check()
    await clocks.advance(MINUTE_MS)
  }
  assert.ok(gateway.mints >= 3)
}

/** An agent that uses a proxy with CONNECT, as the usual packages do. */
class ProxyAgent extends https.Agent {
  readonly #port: number

  constructor(port: number, options: https.AgentOptions = {}) {
    super(options)
    this.#port = port
  }

  override createConnection(
    options: http.ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    const where = `${options.host}:${options.port}`
    const connect = http.request({ host: '127.0.0.1', port: this.#port, method: 'CONNECT', path: where, agent: false })
    const done = callback as (error: Error | null, stream?: Duplex) => void
    connect.once('error', error => done(error))
    connect.once('connect', (response: http.IncomingMessage, socket: net.Socket) => {
      if (response.statusCode === 200) return done(null, tls.connect({ ...options, socket } as tls.ConnectionOptions))
      socket.destroy()
      done(new Error(`the proxy responded ${response.statusCode} to Bearer ${SECRET}`))
    })
    connect.end()
    return undefined
  }
}

async function startProxy(refuses: () => boolean): Promise<{ port: number; heard: Buffer[] }> {
  const heard: Buffer[] = []
  const server = http.createServer()
  server.on('connect', (request, socket: net.Socket, head) => {
    if (refuses()) return void socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n')
    heard.push(Buffer.from(request.rawHeaders.join('\n')), head)
    socket.on('data', bytes => heard.push(bytes))
    const [host = '', port] = (request.url ?? '').split(':')
    const upstream = net.connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      upstream.pipe(socket)
      socket.pipe(upstream)
    })
    upstream.unref()
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      one.on('error', () => undefined).on('close', () => other.destroy())
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as net.AddressInfo).port, heard }
}

export const clocksAndProxies: readonly Row[] = [
  {
    n: 61,
    fault: 'wall clock ±1 h, the machine slept',
    outcome: 'never an expired token, 1',
    async run(t) {
      await neverExpired(t, ({ ours }) => ours.setWall(ours.now() + HOUR_MS))
      await neverExpired(t, ({ ours }) => ours.setWall(ours.now() - HOUR_MS))
      await neverExpired(t, clocks => clocks.suspend(HOUR_MS))
      await neverExpired(t, clocks => clocks.suspend(14 * MINUTE_MS))
    },
  },
  {
    n: 62,
    fault: 'local clock off by 10 min',
    outcome: 'expiry corrected; an event, 1',
    async run(t) {
      for (const aheadMs of [10 * MINUTE_MS, -10 * MINUTE_MS]) {
        t.events.length = 0
        await neverExpired(t, () => undefined, aheadMs)
        const skews = t.events.flatMap(event => (event.type === 'clock-skew' ? [event.skewMs] : []))
        assert.ok(skews.length > 0)
        assert.ok(
          skews.every(skewMs => Math.abs(skewMs + aheadMs) <= 1_000),
          skews.join(),
        )

        // By the local clock, this token has expired or is valid for 15 minutes; in fact it is valid for five.
        const clocks = new TwoClocks(aheadMs)
        const gateway = await t.emulator({ clock: clocks.truth, lifetimeMs: 5 * MINUTE_MS })
        const client = t.client(gateway, { clock: clocks.ours })
        const token = await t.mint(client, 'user')
        await clocks.advance(MINUTE_MS)
        assert.equal(await t.mint(client, 'user'), token)
        assert.equal(gateway.requests.length, 1)
      }
    },
  },
  {
    n: 63,
    fault: 'proxy refuses, 407',
    outcome: 'CONNECTION or CONFIG, ≤3',
    notWithFetch: 'the edge has no agent',
    async run(t) {
      const gateway = await t.raw(t.certificates.good)
      let refuses = false
      const proxy = await startProxy(() => refuses)
      const agent = new ProxyAgent(proxy.port)
      const client = t.client(gateway, { agent: { https: agent } })
      const kept = await t.mint(client, 'keeper')
      assert.ok(proxy.heard.length > 2, 'the request went through the proxy')
      assertNoSecret(proxy.heard, SECRET)

      refuses = true
      const error = await t.failureOf(client.getSessionToken('victim'))
      t.expectFailure(error, { code: ['VKIT_CONNECTION', 'VKIT_CONFIG'], retryable: true, attempts: { atMost: 3 } }, 0)
      assert.equal(gateway.seenOf('victim'), 0)
      assert.equal(await t.mint(client, 'keeper'), kept)
      refuses = false
      await t.mint(client, 'another')
    },
  },
  {
    n: 64,
    fault: 'HTTPS_PROXY set',
    outcome: 'ignored unless an agent is given, 1',
    env: {
      HTTPS_PROXY: 'http://127.0.0.1:1',
      https_proxy: 'http://127.0.0.1:1',
      HTTP_PROXY: 'http://127.0.0.1:1',
      http_proxy: 'http://127.0.0.1:1',
      ALL_PROXY: 'http://127.0.0.1:1',
      NODE_USE_ENV_PROXY: '0',
    },
    async run(t) {
      for (const gateway of [await t.raw(t.certificates.good), await t.raw()]) {
        await t.mint(t.client(gateway), 'user')
        assert.equal(gateway.requests.length, 1)
      }
    },
  },
]
