import { describe, expect, it } from '@jest/globals'
import { decodeJwt } from 'jose/jwt/decode'
import https from 'node:https'
import {
  assertNoSecret,
  FakeClock,
  GatewayEmulator,
  type GatewayEmulatorOptions,
  type GatewayFault,
} from '../../../lib/testing/index.js'
import { makeCertificate } from '../../support/certificates.js'
import { failureOf, reasonOf } from '../../support/failure.js'
import { makeClient, startGateway } from '../../support/gateway.js'
import { untilTrue } from '../../support/until.js'

function post(gateway: GatewayEmulator, init: RequestInit = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${gateway.appSecret}`, 'content-type': 'application/json' }
  const body = JSON.stringify({ identity: 'user', scopes: ['videos.read'] })
  return fetch(`${gateway.url}/v1/sessions`, { method: 'POST', headers, body, ...init })
}

function failureIn(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error
  }
}

describe('GatewayEmulator', () => {
  it('mints a JWT that expires at expiresAt, measured with the given clock', async () => {
    const clock = new FakeClock('2031-05-05T00:00:00Z')
    const gateway = await startGateway({ clock, lifetimeMs: 60_000 })
    const response = await post(gateway)
    const body = (await response.json()) as { sessionToken: string; expiresAt: string; identity: string }
    expect(body).toMatchObject({ identity: 'user', expiresAt: '2031-05-05T00:01:00.000Z' })
    expect(decodeJwt(body.sessionToken)).toMatchObject({
      exp: Date.parse(body.expiresAt) / 1000,
      scopes: ['videos.read'],
    })
    expect(response.headers.get('date')).toBe('Mon, 05 May 2031 00:00:00 GMT')
  })

  it.each<[number, RequestInit]>([
    [401, { headers: { authorization: 'Bearer another' } }],
    [401, { headers: {} }],
    [400, { body: '{' }],
    [400, { body: '{"identity":"","scopes":[]}' }],
    [400, { body: '{"identity":"user","scopes":[1]}' }],
    [404, { method: 'PUT' }],
  ])('responds with %i to %j', async (status, init) => {
    const gateway = await startGateway()
    const response = await post(gateway, init)
    expect(response.status).toBe(status)
    expect(await response.json()).toHaveProperty('error')
    expect(gateway.requests).toMatchObject([{ status }])
    expect(gateway.mints).toBe(0)
  })

  it('applies scripted faults in order, then the outage, and recovers', async () => {
    const gateway = await startGateway()
    const status = async (): Promise<number> => (await post(gateway)).status
    gateway.fail({ status: 503 })
    gateway.failNext({ status: 429 }, 2)
    gateway.failNext({ status: 500 })
    expect([await status(), await status(), await status(), await status(), await status()]).toEqual([
      429, 429, 500, 503, 503,
    ])
    gateway.failNext({ status: 500 })
    gateway.recover()
    expect(await status()).toBe(200)
  })

  it('combines the faults that apply to a request, and the first one wins', async () => {
    const gateway = await startGateway()
    gateway.fail(
      { status: 503, identity: 'user' },
      { status: 429, headers: { 'Retry-After': '2' } },
      { status: 500, headers: { 'Retry-After': '9' }, identity: 'another' },
    )
    const { status, headers } = await post(gateway)
    expect([status, headers.get('retry-after')]).toEqual([503, '2'])
    gateway.fail()
    expect((await post(gateway)).status).toBe(200)
  })

  it('applies faults with a number of requests first, one by one', async () => {
    const gateway = await startGateway()
    const status = async (): Promise<number> => (await post(gateway)).status
    gateway.fail({ status: 500 }, { status: 429, times: 2 }, { status: 422, times: 1 })
    expect(await status()).toBe(429)
    expect(gateway.faults).toEqual([{ status: 500 }, { status: 429, times: 1 }, { status: 422, times: 1 }])
    expect([await status(), await status(), await status()]).toEqual([429, 422, 500])
    expect(gateway.faults).toEqual([{ status: 500 }])
  })

  it('applies a fault to its share of the requests', async () => {
    const numbers = [0.29, 0.3, 0, 0.99]
    const gateway = await startGateway({ random: () => numbers.shift() ?? NaN })
    gateway.fail({ status: 503, share: 0.3 })
    const status = async (): Promise<number> => (await post(gateway)).status
    expect([await status(), await status(), await status(), await status()]).toEqual([503, 200, 503, 200])
  })

  it('has a clock that can be wrong', async () => {
    const clock = new FakeClock('2031-05-05T00:00:00Z')
    const gateway = await startGateway({ clock, lifetimeMs: 60_000 })
    gateway.clockOffsetMs = -600_000
    const response = await post(gateway)
    expect(response.headers.get('date')).toBe('Sun, 04 May 2031 23:50:00 GMT')
    expect(await response.json()).toMatchObject({ expiresAt: '2031-05-04T23:51:00.000Z' })
    expect(gateway.requests[0]?.receivedAt).toBe(clock.now() - 600_000)
    gateway.clockOffsetMs = 0
    expect((await post(gateway)).headers.get('date')).toBe('Mon, 05 May 2031 00:00:00 GMT')
  })

  it('records each response', async () => {
    const gateway = await startGateway()
    const body: unknown = await (await post(gateway)).json()
    gateway.failNext({ status: 503, delayMs: 20 })
    await post(gateway)
    expect(gateway.requests).toMatchObject([
      { status: 200, response: body, durationMs: expect.any(Number) as unknown },
      { status: 503, response: { error: 'The emulator responds with 503 because of a fault.' } },
    ])
    await untilTrue(() => (gateway.requests[1]?.durationMs ?? 0) >= 19)
  })

  it('replaces members and headers of its response with those of a fault', async () => {
    const gateway = await startGateway()
    gateway.failNext({ answer: { identity: 'another', expiresAt: undefined }, headers: { Date: 'never' } })
    const response = await post(gateway)
    expect(response.headers.get('date')).toBe('never')
    expect(Object.entries((await response.json()) as object)).toEqual([
      ['sessionToken', expect.any(String)],
      ['identity', 'another'],
    ])
  })

  it.each<GatewayFault>([{ reset: true }, { reset: 'in-body' }, { silence: true }, { silence: 'in-body' }])(
    'sends no complete response with %j',
    async fault => {
      const gateway = await startGateway()
      gateway.failNext(fault)
      const read = post(gateway).then(response => response.text())
      const outcome = reasonOf(read)
      if (fault.silence) {
        while (gateway.requests.length === 0) await new Promise(resolve => setImmediate(resolve))
        await gateway.stop()
      }
      expect(await outcome).toHaveProperty('name', 'TypeError')
    },
  )

  it('stops and starts again on the same port, for a client that keeps running', async () => {
    const gateway = await startGateway()
    const client = makeClient(gateway, { maxRetries: 0 })
    const { url } = gateway
    await client.getSessionToken('before')
    await gateway.stop()
    expect(await failureOf(client.getSessionToken('during'))).toMatchObject({ code: 'VKIT_CONNECTION' })
    await gateway.start()
    expect(gateway.url).toBe(url)
    gateway.failNext({ delayMs: 1 })
    expect(await client.getSessionToken('after')).toMatchObject({ identity: 'after' })
    expect(gateway.mints).toBe(2)
  })

  it.each<[object | number, string]>([
    [5, 'GatewayEmulator must be an object, not of type number.'],
    [[], 'GatewayEmulator must be an object, not an array.'],
    [new Map(), 'GatewayEmulator must be an object with own properties.'],
    [{ lifetime: 5 }, 'GatewayEmulator: unknown option "lifetime". Did you mean lifetimeMs? Known options: appSecret,'],
    [{ appSecret: 'a secret', 'not a name': 1 }, 'GatewayEmulator: unknown option. Known options: '],
    [{ appSecret: '' }, 'GatewayEmulator: appSecret must be a non-empty string.'],
    [{ appSecret: 5 }, 'GatewayEmulator: appSecret must be a non-empty string'],
    [{ lifetimeMs: NaN }, 'GatewayEmulator: lifetimeMs must be a number of milliseconds'],
    [{ lifetimeMs: '5' }, 'GatewayEmulator: lifetimeMs must be a number of milliseconds'],
    [{ port: 65_536 }, 'GatewayEmulator: port must be a whole number from 0 to 65535.'],
    [{ host: 127 }, 'GatewayEmulator: host must be a non-empty string'],
    [{ tls: { key: 'PEM' } }, 'GatewayEmulator: tls must be an object with key and cert'],
    [{ maxRequests: -1 }, 'GatewayEmulator: maxRequests must be a whole number of at least 0.'],
    [{ onRequest: {} }, 'GatewayEmulator: onRequest must be a function.'],
    [{ onAnswer: true }, 'GatewayEmulator: onAnswer must be a function.'],
    [{ clock: {} }, 'GatewayEmulator: clock must be an object with now.'],
    [{ random: 0.5 }, 'GatewayEmulator: random must be a function.'],
  ])('refuses the options %j', (options, message) => {
    expect(() => new GatewayEmulator(options as GatewayEmulatorOptions)).toThrow(TypeError)
    expect(() => new GatewayEmulator(options as GatewayEmulatorOptions)).toThrow(message)
  })

  it.each<[unknown, string]>([
    [503, 'the fault must be an object, not of type number.'],
    [null, 'the fault must be an object, not null.'],
    [Promise.resolve({ status: 503 }), 'the fault must be an object with own properties.'],
    [{ code: 503 }, 'the fault: unknown option "code". Known options: identity, share,'],
    [{ delay: 5 }, 'the fault: unknown option "delay". Did you mean delayMs?'],
    [{ status: '503' }, 'the fault: status must be a whole number from 100 to 999.'],
    [{ status: 99 }, 'the fault: status must be'],
    [{ status: 503.5 }, 'the fault: status must be'],
    [{ share: 30 }, 'the fault: share must be a number from 0 to 1.'],
    [{ share: '0.3' }, 'the fault: share must be'],
    [{ times: 0 }, 'the fault: times must be a whole number of at least 1.'],
    [{ identity: 5 }, 'the fault: identity must be a non-empty string'],
    [{ headers: { 'retry after': '5' } }, 'the fault: headers must be'],
    [{ headers: { 'retry-after': 5 } }, 'the fault: headers must be'],
    [{ headers: { 'retry-after': 'a\nb' } }, 'the fault: headers must be'],
    [{ body: 5n }, 'the fault: body must be text, bytes or a value that JSON can represent.'],
    [{ answer: 'none' }, 'the fault: answer must be an object that JSON can represent.'],
    [{ delayMs: -1 }, 'the fault: delayMs must be a number of milliseconds from 0 to 2147483647.'],
    [{ delayMs: Infinity }, 'the fault: delayMs must be'],
    [{ reset: 'body' }, "the fault: reset must be true, false or 'in-body'."],
    [{ silence: 1 }, "the fault: silence must be true, false or 'in-body'."],
  ])('refuses the fault %p', async (fault, message) => {
    const gateway = await startGateway({ onRequest: () => fault as GatewayFault | undefined })
    expect(() => gateway.failNext(fault as GatewayFault)).toThrow(`failNext: ${message}`)
    expect(() => gateway.fail(fault as GatewayFault)).toThrow(`fail: ${message}`)
    if (fault === null) return
    const response = await post(gateway)
    expect(response.status).toBe(500)
    expect(await response.text()).toContain(JSON.stringify(message).slice(1, -1))
  })

  it.each([0, -1, 1.5, NaN, Infinity, '2'])('refuses a fault for %p requests', times => {
    const gateway = new GatewayEmulator()
    expect(() => gateway.failNext({ status: 503 }, times as number)).toThrow(
      new TypeError('failNext: times must be a whole number of at least 1.'),
    )
  })

  it('refuses an invalid lifetime and secret, and keeps the current ones', () => {
    const gateway = new GatewayEmulator({ appSecret: 'a secret', lifetimeMs: -5 })
    expect(() => (gateway.lifetimeMs = NaN)).toThrow(TypeError)
    expect(() => (gateway.appSecret = undefined as unknown as string)).toThrow(TypeError)
    expect([gateway.lifetimeMs, gateway.appSecret]).toEqual([-5, 'a secret'])
  })

  it('does not repeat a value in its errors', () => {
    const secret = `eyJ${'secret'.repeat(10)}`
    for (const options of [{ [secret]: 1 }, { port: secret }, { appSecret: [secret] }]) {
      const error = failureIn(() => new GatewayEmulator(options as GatewayEmulatorOptions))
      expect(error).toBeInstanceOf(TypeError)
      assertNoSecret(error, secret)
    }
  })

  it('reads only own properties of options and faults, whatever Object.prototype contains', async () => {
    const polluted = Object.prototype as Record<string, unknown>
    const gateway = await startGateway()
    Object.assign(polluted, {
      status: 500,
      body: 'polluted',
      delayMs: 'x',
      reset: true,
      lifetimeMs: 5,
      headers: { a: 'b' },
    })
    try {
      gateway.failNext({ answer: { identity: 'another' } })
      expect(new GatewayEmulator().lifetimeMs).toBe(3_600_000)
      const bodies = [await post(gateway), await post(gateway)].map(async response => [
        response.status,
        await response.json(),
      ])
      expect(await Promise.all(bodies)).toMatchObject([
        [200, { identity: 'another' }],
        [200, { identity: 'user' }],
      ])
    } finally {
      for (const name of ['status', 'body', 'delayMs', 'reset', 'lifetimeMs', 'headers'])
        Reflect.deleteProperty(polluted, name)
    }
  })

  it('does not start twice', async () => {
    const gateway = await startGateway()
    await expect(gateway.start()).rejects.toThrow('already running')
  })

  it('has no URL before it is started', () => {
    expect(() => new GatewayEmulator().url).toThrow('not running')
  })

  it('uses https with the given certificate', async () => {
    const tls = makeCertificate()
    const gateway = await startGateway({ tls })
    const agent = new https.Agent({ ca: tls.cert })
    expect(gateway.url).toMatch(/^https:/)
    await makeClient(gateway, { agent: { https: agent } }).getSessionToken('user')
    expect(gateway.mints).toBe(1)
    agent.destroy()
  })
})
