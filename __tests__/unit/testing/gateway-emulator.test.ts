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

function ask(gateway: GatewayEmulator, init: RequestInit = {}): Promise<Response> {
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
  it('mints a JWT that expires when expiresAt says, by the clock it was given', async () => {
    const clock = new FakeClock('2031-05-05T00:00:00Z')
    const gateway = await startGateway({ clock, lifetimeMs: 60_000 })
    const answer = await ask(gateway)
    const body = (await answer.json()) as { sessionToken: string; expiresAt: string; identity: string }
    expect(body).toMatchObject({ identity: 'user', expiresAt: '2031-05-05T00:01:00.000Z' })
    expect(decodeJwt(body.sessionToken)).toMatchObject({
      exp: Date.parse(body.expiresAt) / 1000,
      scopes: ['videos.read'],
    })
    expect(answer.headers.get('date')).toBe('Mon, 05 May 2031 00:00:00 GMT')
  })

  it.each<[number, RequestInit]>([
    [401, { headers: { authorization: 'Bearer another' } }],
    [401, { headers: {} }],
    [400, { body: '{' }],
    [400, { body: '{"identity":"","scopes":[]}' }],
    [400, { body: '{"identity":"user","scopes":[1]}' }],
    [404, { method: 'PUT' }],
  ])('answers %i to %j', async (status, init) => {
    const gateway = await startGateway()
    const answer = await ask(gateway, init)
    expect(answer.status).toBe(status)
    expect(await answer.json()).toHaveProperty('error')
    expect(gateway.requests).toMatchObject([{ status }])
    expect(gateway.mints).toBe(0)
  })

  it('meets scripted faults in order, then the outage, and recovers', async () => {
    const gateway = await startGateway()
    const status = async (): Promise<number> => (await ask(gateway)).status
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

  it('puts the members of a fault in place of its own', async () => {
    const gateway = await startGateway()
    gateway.failNext({ answer: { identity: 'another', expiresAt: undefined }, headers: { Date: 'never' } })
    const answer = await ask(gateway)
    expect(answer.headers.get('date')).toBe('never')
    expect(Object.entries((await answer.json()) as object)).toEqual([
      ['sessionToken', expect.any(String)],
      ['identity', 'another'],
    ])
  })

  it.each<GatewayFault>([{ reset: true }, { reset: 'in-body' }, { silence: true }, { silence: 'in-body' }])(
    'gives no whole answer with %j',
    async fault => {
      const gateway = await startGateway()
      gateway.failNext(fault)
      const read = ask(gateway).then(answer => answer.text())
      const outcome = reasonOf(read)
      if (fault.silence) {
        while (gateway.requests.length === 0) await new Promise(resolve => setImmediate(resolve))
        await gateway.stop()
      }
      expect(await outcome).toHaveProperty('name', 'TypeError')
    },
  )

  it('stops and starts again on the same port: an outage that a client lives through', async () => {
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
    [new Map(), 'GatewayEmulator must be an object with members of its own.'],
    [{ lifetime: 5 }, 'GatewayEmulator: unknown option "lifetime". Did you mean lifetimeMs? Known options: appSecret,'],
    [{ appSecret: 'a secret', 'not a name': 1 }, 'GatewayEmulator: unknown option. Known options: '],
    [{ appSecret: '' }, 'GatewayEmulator: appSecret must be a string that is not empty.'],
    [{ appSecret: 5 }, 'GatewayEmulator: appSecret must be a string'],
    [{ lifetimeMs: NaN }, 'GatewayEmulator: lifetimeMs must be a number of milliseconds'],
    [{ lifetimeMs: '5' }, 'GatewayEmulator: lifetimeMs must be a number of milliseconds'],
    [{ port: 65_536 }, 'GatewayEmulator: port must be a whole number from 0 to 65535.'],
    [{ host: 127 }, 'GatewayEmulator: host must be a string'],
    [{ tls: { key: 'PEM' } }, 'GatewayEmulator: tls must be an object with key and cert'],
    [{ maxRequests: -1 }, 'GatewayEmulator: maxRequests must be a whole number of at least 0.'],
    [{ onRequest: {} }, 'GatewayEmulator: onRequest must be a function.'],
    [{ onAnswer: true }, 'GatewayEmulator: onAnswer must be a function.'],
    [{ clock: {} }, 'GatewayEmulator: clock must be an object with now.'],
  ])('refuses the options %j', (options, message) => {
    expect(() => new GatewayEmulator(options as GatewayEmulatorOptions)).toThrow(TypeError)
    expect(() => new GatewayEmulator(options as GatewayEmulatorOptions)).toThrow(message)
  })

  it.each<[unknown, string]>([
    [503, 'the fault must be an object, not of type number.'],
    [null, 'the fault must be an object, not null.'],
    [Promise.resolve({ status: 503 }), 'the fault must be an object with members of its own.'],
    [{ code: 503 }, 'the fault: unknown option "code". Known options: identity, status,'],
    [{ delay: 5 }, 'the fault: unknown option "delay". Did you mean delayMs?'],
    [{ status: '503' }, 'the fault: status must be a whole number from 100 to 999.'],
    [{ status: 99 }, 'the fault: status must be'],
    [{ status: 503.5 }, 'the fault: status must be'],
    [{ identity: 5 }, 'the fault: identity must be a string'],
    [{ headers: { 'retry after': '5' } }, 'the fault: headers must be'],
    [{ headers: { 'retry-after': 5 } }, 'the fault: headers must be'],
    [{ headers: { 'retry-after': 'a\nb' } }, 'the fault: headers must be'],
    [{ body: 5n }, 'the fault: body must be text, bytes or a value that JSON can hold.'],
    [{ answer: 'none' }, 'the fault: answer must be an object that JSON can hold.'],
    [{ delayMs: -1 }, 'the fault: delayMs must be a number of milliseconds from 0 to 2147483647.'],
    [{ delayMs: Infinity }, 'the fault: delayMs must be'],
    [{ reset: 'body' }, "the fault: reset must be true, false or 'in-body'."],
    [{ silence: 1 }, "the fault: silence must be true, false or 'in-body'."],
  ])('refuses the fault %p', async (fault, message) => {
    const gateway = await startGateway({ onRequest: () => fault as GatewayFault | undefined })
    expect(() => gateway.failNext(fault as GatewayFault)).toThrow(`failNext: ${message}`)
    expect(() => gateway.fail(fault as GatewayFault)).toThrow(`fail: ${message}`)
    if (fault === null) return
    const answer = await ask(gateway)
    expect(answer.status).toBe(500)
    expect(await answer.text()).toContain(JSON.stringify(message).slice(1, -1))
  })

  it.each([0, -1, 1.5, NaN, Infinity, '2'])('refuses a fault for %p requests', times => {
    const gateway = new GatewayEmulator()
    expect(() => gateway.failNext({ status: 503 }, times as number)).toThrow(
      new TypeError('failNext: times must be a whole number of at least 1.'),
    )
  })

  it('refuses a lifetime and a secret that are none, and keeps what it has', () => {
    const gateway = new GatewayEmulator({ appSecret: 'a secret', lifetimeMs: -5 })
    expect(() => (gateway.lifetimeMs = NaN)).toThrow(TypeError)
    expect(() => (gateway.appSecret = undefined as unknown as string)).toThrow(TypeError)
    expect([gateway.lifetimeMs, gateway.appSecret]).toEqual([-5, 'a secret'])
  })

  it('repeats no value', () => {
    const secret = `eyJ${'secret'.repeat(10)}`
    for (const options of [{ [secret]: 1 }, { port: secret }, { appSecret: [secret] }]) {
      const error = failureIn(() => new GatewayEmulator(options as GatewayEmulatorOptions))
      expect(error).toBeInstanceOf(TypeError)
      assertNoSecret(error, secret)
    }
  })

  it('reads its own options and faults alone, whatever Object.prototype holds', async () => {
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
      const bodies = [await ask(gateway), await ask(gateway)].map(async answer => [answer.status, await answer.json()])
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
    await expect(gateway.start()).rejects.toThrow('running already')
  })

  it('has no URL while it does not run', () => {
    expect(() => new GatewayEmulator().url).toThrow('not running')
  })

  it('speaks https with the certificate it is given', async () => {
    const tls = makeCertificate()
    const gateway = await startGateway({ tls })
    const agent = new https.Agent({ ca: tls.cert })
    expect(gateway.url).toMatch(/^https:/)
    await makeClient(gateway, { agent: { https: agent } }).getSessionToken('user')
    expect(gateway.mints).toBe(1)
    agent.destroy()
  })
})
