import { describe, expect, it } from '@jest/globals'
import { decodeJwt } from 'jose/jwt/decode'
import https from 'node:https'
import { FakeClock, GatewayEmulator, type GatewayFault } from '../../../lib/testing/index.js'
import { makeCertificate } from '../../support/certificates.js'
import { failureOf, reasonOf } from '../../support/failure.js'
import { makeClient, startGateway } from '../../support/gateway.js'

function ask(gateway: GatewayEmulator, init: RequestInit = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${gateway.appSecret}`, 'content-type': 'application/json' }
  const body = JSON.stringify({ identity: 'user', scopes: ['videos.read'] })
  return fetch(`${gateway.url}/v1/sessions`, { method: 'POST', headers, body, ...init })
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
