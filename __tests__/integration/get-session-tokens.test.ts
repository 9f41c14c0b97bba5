import { describe, expect, it } from '@jest/globals'
import type { SessionTokenResult, VKitClient } from '../../lib/index.js'
import { FakeClock, type GatewayEmulator } from '../../lib/testing/index.js'
import { failureOf, reasonOf } from '../support/failure.js'
import { makeClient, recordEvents, startGateway } from '../support/gateway.js'

async function collect(results: AsyncIterable<SessionTokenResult>): Promise<SessionTokenResult[]> {
  const all: SessionTokenResult[] = []
  for await (const result of results) all.push(result)
  return all
}

function requestedIdentities(gateway: GatewayEmulator): unknown[] {
  return gateway.requests.map(({ body }) => (body as { identity: unknown }).identity)
}

const users = (n: number): string[] => Array.from({ length: n }, (_, i) => `user-${i}`)

describe("a proxy's page in place of the gateway's response", () => {
  it("is reported immediately for its identity, even with onOutage: 'wait'", async () => {
    const gateway = await startGateway()
    gateway.fail({ identity: 'blocked', status: 403, body: '<h1>Blocked</h1>' })
    const client = makeClient(gateway, { maxRetries: 0 })
    const results = await collect(client.getSessionTokens(['a', 'blocked', 'b']))
    expect(results.map(({ identity, error }) => [identity, error?.code]).sort()).toEqual([
      ['a', undefined],
      ['b', undefined],
      ['blocked', 'VKIT_INVALID_RESPONSE'],
    ])
  })
})

describe('closing the client', () => {
  it('rejects each run with its own error', async () => {
    const gateway = await startGateway()
    gateway.fail({ silence: true })
    const client = makeClient(gateway)
    const runs = ['a', 'b'].map(identity => failureOf(client.getSessionTokens([identity]).next()))
    await client.close()
    const [one, other] = await Promise.all(runs)
    expect([one?.code, other?.code]).toEqual(['VKIT_CLOSED', 'VKIT_CLOSED'])
    expect(one).not.toBe(other)
  })
})

describe('getSessionTokens', () => {
  it('mints a token for each identity in an array', async () => {
    const gateway = await startGateway()
    const results = await collect(makeClient(gateway).getSessionTokens(users(50), { scopes: ['videos.read'] }))
    expect(results.map(({ identity }) => identity).sort()).toEqual(users(50).sort())
    expect(results.every(({ identity, token }) => token?.identity === identity)).toBe(true)
    expect(gateway.requests.every(({ body }) => (body as { scopes: string[] }).scopes[0] === 'videos.read')).toBe(true)
  })

  it('accepts an async iterable', async () => {
    const gateway = await startGateway()
    async function* cursor(): AsyncGenerator<string> {
      for (const user of users(20)) yield await Promise.resolve(user)
    }
    expect(await collect(makeClient(gateway).getSessionTokens(cursor()))).toHaveLength(20)
    expect(gateway.mints).toBe(20)
  })

  it.each([{ cache: {} }, { cache: false as const }])(
    'mints one token for an identity that is in the list twice, with %j',
    async options => {
      const gateway = await startGateway()
      const client = makeClient(gateway, options)
      const results = await collect(client.getSessionTokens([...users(30), ...users(30), 'user-0', 'user-0']))
      expect(results).toHaveLength(62)
      expect(results.every(({ token }) => token !== undefined)).toBe(true)
      expect(gateway.mints).toBe(30)
    },
  )

  it('reuses no token in the next run with cache: false', async () => {
    const gateway = await startGateway()
    const client = makeClient(gateway, { cache: false })
    await collect(client.getSessionTokens(['a']))
    await collect(client.getSessionTokens(['a']))
    await client.getSessionToken('a')
    expect(gateway.mints).toBe(3)
  })

  it('reports an error for an invalid identity, and continues', async () => {
    const gateway = await startGateway()
    const identities = ['a', '', 42 as unknown as string, null as unknown as string, 'a\ud800', 'b']
    const results = await collect(makeClient(gateway).getSessionTokens(identities))
    const outcome = new Map(results.map(({ identity, error }) => [identity, error?.code]))
    expect(outcome).toEqual(
      new Map<unknown, string | undefined>([
        ['a', undefined],
        ['', 'VKIT_INVALID_ARGUMENT'],
        [42, 'VKIT_INVALID_ARGUMENT'],
        [null, 'VKIT_INVALID_ARGUMENT'],
        ['a\ud800', 'VKIT_INVALID_ARGUMENT'],
        ['b', undefined],
      ]),
    )
    expect(requestedIdentities(gateway).sort()).toEqual(['a', 'b'])
  })

  it('reports an error for an identity that the gateway refuses, and continues', async () => {
    const gateway = await startGateway()
    gateway.failNext({ status: 403, body: { error: 'not this one' } })
    const results = await collect(makeClient(gateway).getSessionTokens(users(5), { concurrency: 1 }))
    expect(results.filter(({ error }) => error?.code === 'VKIT_FORBIDDEN')).toHaveLength(1)
    expect(results.filter(({ token }) => token)).toHaveLength(4)
  })

  it.each<[string, unknown, object]>([
    ['a string', 'user', {}],
    ['undefined', undefined, {}],
    ['an object', {}, {}],
    ['a concurrency of 0', [], { concurrency: 0 }],
    ['a concurrency of 1001', [], { concurrency: 1001 }],
    ['a misspelt option', [], { scope: ['videos.read'] }],
    ['an empty scope', [], { scopes: [''] }],
    ['an unknown value of onOutage', [], { onOutage: 'panic' }],
    ['a signal that is not an AbortSignal', [], { signal: {} }],
  ])('refuses %s', async (_, identities, options) => {
    const client = makeClient(await startGateway())
    const results = client.getSessionTokens(identities as string[], options)
    expect(await failureOf(results.next())).toMatchObject({ code: 'VKIT_INVALID_ARGUMENT' })
  })

  it('ends with VKIT_CONFIG if the secret cannot be read, without reading the whole list', async () => {
    const gateway = await startGateway()
    const client = makeClient(gateway, { appSecret: () => Promise.reject(new Error('vault sealed')) })
    expect(await failureOf(client.getSessionTokens(users(1000)).next())).toMatchObject({ code: 'VKIT_CONFIG' })
    expect(gateway.requests).toHaveLength(0)
  })
})

describe('a run that ends early', () => {
  async function expectIdle(client: VKitClient): Promise<void> {
    while (client.stats().inFlight > 0) await new Promise(resolve => setImmediate(resolve))
  }

  it('by break: starts no further mints', async () => {
    const gateway = await startGateway()
    const client = makeClient(gateway)
    for await (const { token } of client.getSessionTokens(users(1000), { concurrency: 4 })) if (token) break
    await expectIdle(client)
    expect(gateway.requests.length).toBeLessThanOrEqual(8)
  })

  it('by abort: rejects with the reason of the signal', async () => {
    const gateway = await startGateway()
    gateway.fail({ silence: true })
    const client = makeClient(gateway)
    const abort = new AbortController()
    const next = client.getSessionTokens(users(100), { signal: abort.signal }).next()
    abort.abort('enough')
    expect(await reasonOf(next)).toBe('enough')
  })

  it.each([{ cache: {} }, { cache: false as const }])('by close: rejects with VKIT_CLOSED, with %j', async options => {
    const gateway = await startGateway()
    gateway.fail({ silence: true })
    const client = makeClient(gateway, options)
    const next = client.getSessionTokens(users(100)).next()
    await client.close()
    expect(await failureOf(next)).toMatchObject({ code: 'VKIT_CLOSED' })
    expect(await failureOf(client.getSessionTokens(users(1)).next())).toMatchObject({ code: 'VKIT_CLOSED' })
  })
})

describe('when the gateway', () => {
  const longTimeouts = { timeoutMs: 1e9, deadlineMs: 1e9 }

  async function whileTimePasses<T>(clock: FakeClock, promise: Promise<T>): Promise<T> {
    const state = { isSettled: false }
    const settled = promise.finally(() => (state.isSettled = true))
    settled.catch(() => undefined)
    while (!state.isSettled) await clock.advance(50)
    return settled
  }

  it('rate-limits one user, the others are minted, and that user only after Retry-After', async () => {
    const clock = new FakeClock()
    const gateway = await startGateway({ clock })
    const client = makeClient(gateway, { ...longTimeouts, clock })
    gateway.failNext({ status: 429, headers: { 'Retry-After': '30' } })
    const began = clock.now()
    const results = await whileTimePasses(clock, collect(client.getSessionTokens(users(40), { concurrency: 4 })))
    expect(results.filter(({ token }) => token)).toHaveLength(40)
    const times = gateway.requests.map(({ receivedAt }) => receivedAt - began)
    expect(times.filter(ms => ms < 30_000)).toHaveLength(40)
    expect(times.filter(ms => ms >= 30_000)).toHaveLength(1)
  })

  it('is down for a minute, the list waits for the circuit and is minted completely', async () => {
    const clock = new FakeClock()
    const gateway = await startGateway({ clock })
    const { onEvent, types } = recordEvents()
    const client = makeClient(gateway, { ...longTimeouts, clock, onEvent })
    gateway.fail({ status: 503 })
    void clock.sleep(60_000).then(() => gateway.recover())
    const results = await whileTimePasses(clock, collect(client.getSessionTokens(users(100))))
    expect(results.filter(({ token }) => token)).toHaveLength(100)
    expect(gateway.mints).toBe(100)
    expect(types()).toEqual(expect.arrayContaining(['circuit-open', 'circuit-close']))
    // The attempts until the circuit opens, a few dozen probes, and the 100 mints.
    expect(gateway.requests.length).toBeLessThan(250)
  })

  it("is down, each identity fails immediately with onOutage: 'fail'", async () => {
    const gateway = await startGateway()
    gateway.fail({ status: 503 })
    const clock = new FakeClock()
    const client = makeClient(gateway, { maxRetries: 0, clock })
    const run = client.getSessionTokens(users(100), { onOutage: 'fail', concurrency: 16 })
    const results = await whileTimePasses(clock, collect(run))
    expect(results.filter(({ error }) => error?.code === 'VKIT_UNAVAILABLE')).toHaveLength(100)
    // 40 failures open the circuit, while as many requests as the concurrency allows are in flight. A few are probes.
    expect(gateway.requests.length).toBeLessThanOrEqual(60)
  })
})
