import { describe, expect, it } from '@jest/globals'
import { VKitClient } from '../../lib/index.js'
import { failureOf } from '../support/failure.js'
import { makeClient, startGateway } from '../support/gateway.js'

describe('getSessionToken', () => {
  it('sends exactly the request that the contract defines', async () => {
    const gateway = await startGateway()
    await makeClient(gateway).getSessionToken('END_USER_ID')

    const [request] = gateway.requests
    expect(request).toMatchObject({
      method: 'POST',
      path: '/v1/sessions',
      body: { identity: 'END_USER_ID', scopes: [] },
    })
    expect(request?.headers).toMatchObject({
      authorization: `Bearer ${gateway.appSecret}`,
      'content-type': 'application/json',
      accept: 'application/json',
      'accept-encoding': 'identity',
    })
  })

  it('returns a frozen token that JSON serializes completely', async () => {
    const gateway = await startGateway()
    const token = await makeClient(gateway).getSessionToken('END_USER_ID')

    expect(Object.isFrozen(token)).toBe(true)
    expect(JSON.parse(JSON.stringify(token))).toEqual({
      sessionToken: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/) as unknown,
      expiresAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/) as unknown,
      identity: 'END_USER_ID',
      scopes: [],
    })
  })

  it('accepts scopes as the second argument, like version 0.0.6', async () => {
    const gateway = await startGateway()
    const token = await makeClient(gateway).getSessionToken('END_USER_ID', ['videos.read'])
    expect(gateway.requests[0]?.body).toEqual({ identity: 'END_USER_ID', scopes: ['videos.read'] })
    expect(token.scopes).toEqual(['videos.read'])
  })

  it('sends no second request for the same identity', async () => {
    const gateway = await startGateway()
    const client = makeClient(gateway)
    const first = await client.getSessionToken('user')
    expect(await client.getSessionToken('user')).toBe(first)
    expect(gateway.requests).toHaveLength(1)
    expect(client.stats()).toMatchObject({ hits: 1, misses: 1, mints: 1, entries: 1, inFlight: 0, circuit: 'closed' })
  })

  it('caches one token for the same scopes, whatever their order and duplicates', async () => {
    const gateway = await startGateway()
    const client = makeClient(gateway)
    const first = await client.getSessionToken('user', ['a', 'b'])
    expect(await client.getSessionToken('user', ['b', 'a', 'b'])).toBe(first)
    expect(await client.getSessionToken('user', { scopes: ['b', 'a'] })).toBe(first)
    expect(await client.getSessionToken('user')).not.toBe(first)
    expect(gateway.requests).toHaveLength(2)
  })

  it('shares nothing between clients', async () => {
    const [one, two] = [await startGateway(), await startGateway()]
    const tokenOfOne = await makeClient(one).getSessionToken('user')
    const tokenOfTwo = await makeClient(two).getSessionToken('user')
    expect(tokenOfOne.sessionToken).not.toBe(tokenOfTwo.sessionToken)
    expect([one.mints, two.mints]).toEqual([1, 1])
  })

  it('mints a new token after invalidate', async () => {
    const gateway = await startGateway()
    const client = makeClient(gateway)
    const first = await client.getSessionToken('user')
    await client.invalidate('user')
    expect(await client.getSessionToken('user')).not.toEqual(first)
  })

  it('mints every time with cache: false', async () => {
    const gateway = await startGateway()
    const client = makeClient(gateway, { cache: false })
    await client.getSessionToken('user')
    await client.getSessionToken('user')
    expect(gateway.mints).toBe(2)
    expect(client.stats().entries).toBe(0)
  })

  it('appends the path of the API to the path of baseUrl', async () => {
    const gateway = await startGateway()
    const client = makeClient(gateway, { baseUrl: `${gateway.url}/` })
    await client.getSessionToken('user')
    expect(gateway.requests[0]?.path).toBe('/v1/sessions')
  })

  it('rejects with VKIT_CLOSED after close', async () => {
    const gateway = await startGateway()
    const client = makeClient(gateway)
    await client.getSessionToken('user')
    await client.close()
    expect(await failureOf(client.getSessionToken('user'))).toMatchObject({ code: 'VKIT_CLOSED' })
    expect(await failureOf(client.invalidate('user'))).toMatchObject({ code: 'VKIT_CLOSED' })
  })
})

describe('the environment', () => {
  const saved = { ...process.env }
  const restore = (): void => {
    delete process.env['VKIT_APP_SECRET']
    delete process.env['VKIT_BASE_URL']
    Object.assign(process.env, saved)
  }

  it('provides the secret and the base URL, which the first call reads', async () => {
    const gateway = await startGateway()
    await using client = new VKitClient()
    try {
      process.env['VKIT_APP_SECRET'] = gateway.appSecret
      process.env['VKIT_BASE_URL'] = gateway.url
      expect((await client.getSessionToken('user')).identity).toBe('user')
    } finally {
      restore()
    }
  })

  it('is named in the error if no secret is set', async () => {
    delete process.env['VKIT_APP_SECRET']
    try {
      await using client = new VKitClient()
      const error = await failureOf(client.getSessionToken('user'))
      expect(error.code).toBe('VKIT_CONFIG')
      expect(error.message).toContain('VKIT_APP_SECRET')
    } finally {
      restore()
    }
  })
})
