import { describe, expect, it, jest } from '@jest/globals'
import { createHook } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { getEventListeners } from 'node:events'
import type { VKitClient, VKitClientOptions } from '../../lib/index.js'
import { FakeClock, type GatewayEmulator, type GatewayFault } from '../../lib/testing/index.js'
import { failureOf, reasonOf } from '../support/failure.js'
import { makeClient, recordEvents, startGateway } from '../support/gateway.js'

const HOUR = 3_600_000

interface Scene {
  readonly clock: FakeClock
  readonly gateway: GatewayEmulator
  readonly client: VKitClient
  readonly recorded: ReturnType<typeof recordEvents>
}

/** A client and a gateway that share one fake clock. */
async function scene(options: VKitClientOptions & { lifetimeMs?: number } = {}): Promise<Scene> {
  const { lifetimeMs = HOUR, ...rest } = options
  const clock = new FakeClock()
  const recorded = recordEvents()
  const gateway = await startGateway({ clock, lifetimeMs })
  return { clock, gateway, recorded, client: makeClient(gateway, { clock, onEvent: recorded.onEvent, ...rest }) }
}

/** Waits until no load is in flight. Sockets need turns of the event loop, which a fake clock does not provide. */
async function untilIdle(client: VKitClient): Promise<void> {
  while (client.stats().inFlight > 0) await new Promise(resolve => setImmediate(resolve))
}

describe('a cached token', () => {
  const { signal } = new AbortController()
  const scopes = ['videos.read']
  it.each([scopes, { scopes }, { deadlineMs: 500 }, { signal, scopes }, { cache: 'default' }, {}] as const)(
    'is found by one look-up, without validating the identity again (%j)',
    async options => {
      const { gateway, client } = await scene()
      // A validated identity is copied.
      const validated = jest.spyOn(TextEncoder.prototype, 'encode')
      await client.getSessionToken('user', options as object)
      expect(validated).toHaveBeenCalledWith('user')
      validated.mockClear()
      await client.getSessionToken('user', options as object)
      expect(validated).not.toHaveBeenCalledWith('user')
      validated.mockRestore()
      expect(gateway.requests).toHaveLength(1)
    },
  )

  it.each([
    { deadline: 1 },
    { deadlineMs: 0 },
    { signal: {} },
    { cache: 'never' },
    { scopes: 'videos.read' },
    { minValidityMs: -1 },
  ])('is not returned for invalid options (%j)', async options => {
    const { client } = await scene()
    await client.getSessionToken('user')
    await client.getSessionToken('user', scopes)
    expect(await failureOf(client.getSessionToken('user', options as object))).toMatchObject({
      code: 'VKIT_INVALID_ARGUMENT',
    })
  })

  it('is not returned if the signal is aborted, or if less than minValidityMs is left', async () => {
    const { clock, gateway, client } = await scene()
    await client.getSessionToken('user')
    const reason = new Error('left')
    expect(await reasonOf(client.getSessionToken('user', { signal: AbortSignal.abort(reason) }))).toBe(reason)
    await clock.advance(HOUR / 4)
    await client.getSessionToken('user', { minValidityMs: 0.7 * HOUR })
    expect(gateway.requests).toHaveLength(1)
    await client.getSessionToken('user', { minValidityMs: 0.8 * HOUR })
    expect(gateway.requests).toHaveLength(2)
  })

  it('has the scopes that its call asked for, even if the array returns others at the next read', async () => {
    const { gateway, client } = await scene()
    let reads = 0
    const scopes = new Proxy(['videos.read'], {
      get: (list, key) => (key === '0' && reads++ > 0 ? 'videos.admin.read' : (Reflect.get(list, key) as unknown)),
    })
    await client.getSessionToken('user', scopes)
    await client.getSessionToken('user', ['videos.admin.read'])
    expect(gateway.requests.map(({ body }) => body)).toEqual([
      { identity: 'user', scopes: ['videos.read'] },
      { identity: 'user', scopes: ['videos.admin.read'] },
    ])
  })

  it('with a lifetime of 60 s is minted once for five calls', async () => {
    const { gateway, client } = await scene({ lifetimeMs: 60_000 })
    for (let i = 0; i < 5; i++) await client.getSessionToken('user')
    expect(gateway.requests).toHaveLength(1)
  })

  it('is returned immediately while a background refresh replaces it', async () => {
    const { clock, gateway, client, recorded } = await scene()
    const first = await client.getSessionToken('user')
    await clock.advance(HOUR / 2)
    gateway.failNext({ delayMs: 20 })
    expect(await client.getSessionToken('user')).toBe(first)
    expect(await client.getSessionToken('user')).toBe(first)
    await untilIdle(client)
    expect((await client.getSessionToken('user')).sessionToken).not.toBe(first.sessionToken)
    expect(gateway.requests).toHaveLength(2)
    expect(recorded.types()).toEqual(['miss', 'mint', 'hit', 'refresh', 'hit', 'mint', 'hit'])
  })

  it('is returned during an outage until it expires, and never afterwards', async () => {
    const { clock, gateway, client } = await scene({ maxRetries: 0 })
    const first = await client.getSessionToken('user')
    gateway.fail({ status: 503 })
    for (const part of [0.5, 0.7, 0.9, 0.995]) {
      await clock.advance(part * HOUR - clock.monotonic())
      expect(await client.getSessionToken('user')).toBe(first)
      await untilIdle(client)
    }
    await clock.advance(HOUR - clock.monotonic())
    expect(await failureOf(client.getSessionToken('user'))).toMatchObject({ code: 'VKIT_UNAVAILABLE' })
  })

  it.each<[string, (clock: FakeClock) => Promise<void> | void]>([
    ['the wall clock was set forward an hour', clock => clock.setWall(clock.now() + HOUR)],
    ['the machine slept for an hour', clock => clock.suspend(HOUR)],
    [
      'the wall clock was set back an hour',
      clock => {
        clock.setWall(clock.now() - HOUR)
        return clock.advance(HOUR)
      },
    ],
  ])('is not returned after %s', async (_, happen) => {
    const { clock, gateway, client } = await scene()
    const first = await client.getSessionToken('user')
    await happen(clock)
    expect((await client.getSessionToken('user')).sessionToken).not.toBe(first.sessionToken)
    expect(gateway.requests).toHaveLength(2)
  })

  it.each([403, 410])('is removed from the cache when the gateway refuses its refresh with %d', async status => {
    const { clock, gateway, client } = await scene()
    await client.getSessionToken('user')
    await clock.advance(HOUR / 2)
    gateway.fail({ status })
    await client.getSessionToken('user')
    await untilIdle(client)
    expect(client.stats().entries).toBe(0)
    expect(await failureOf(client.getSessionToken('user'))).toMatchObject({ status })
  })

  it.each<[string, GatewayFault]>([
    ['401', { status: 401 }],
    ['404, as frameworks respond with JSON to a missing route', { status: 404, body: { error: 'Not Found' } }],
    ["a firewall's 403 page", { status: 403, body: '<h1>Blocked</h1>' }],
    ["a proxy's empty 410", { status: 410, body: '' }],
  ])('stays in the cache when its refresh receives %s', async (_, fault) => {
    const { clock, gateway, client } = await scene({ maxRetries: 0 })
    const first = await client.getSessionToken('user')
    await clock.advance(HOUR / 2)
    gateway.fail(fault)
    await client.getSessionToken('user')
    await untilIdle(client)
    expect(await client.getSessionToken('user')).toBe(first)
  })

  it.each([-600_000, 600_000])('expires at the right time even if the local clock is off by %d ms', async skewMs => {
    const clock = new FakeClock()
    const recorded = recordEvents()
    const gateway = await startGateway({ clock: { now: () => clock.now() - skewMs } })
    const client = makeClient(gateway, { clock, onEvent: recorded.onEvent, cache: { minValidityMs: 0 } })
    const first = await client.getSessionToken('user')
    expect(recorded.types()).toContain('clock-skew')
    await clock.advance(HOUR - 1_001)
    expect(await client.getSessionToken('user')).toBe(first)
    await untilIdle(client)

    const second = await client.getSessionToken('user')
    gateway.fail({ status: 403 })
    await clock.advance(HOUR)
    expect(second.sessionToken).not.toBe(first.sessionToken)
    expect(await failureOf(client.getSessionToken('user'))).toMatchObject({ status: 403 })
  })
})

describe('a response', () => {
  it('whose expiry cannot be read is returned unchanged, and never cached', async () => {
    const { gateway, client, recorded } = await scene()
    gateway.fail({ answer: { expiresAt: 'next Tuesday' } })
    const first = await client.getSessionToken('user')
    const second = await client.getSessionToken('user')
    expect([first.expiresAt, second.expiresAt]).toEqual(['next Tuesday', 'next Tuesday'])
    expect(first.sessionToken).not.toBe(second.sessionToken)
    expect(client.stats().entries).toBe(0)
    expect(recorded.types().filter(type => type === 'unreadable-expiry')).toHaveLength(2)
  })

  it('for another identity is neither returned nor cached', async () => {
    const { clock, gateway, client } = await scene()
    gateway.failNext({ answer: { identity: 'another user' } })
    expect(await failureOf(client.getSessionToken('user'))).toMatchObject({ code: 'VKIT_IDENTITY_MISMATCH' })
    expect(client.stats().entries).toBe(0)
    await clock.advance(200)
    expect((await client.getSessionToken('user')).identity).toBe('user')
  })

  it('for another identity does not replace the cached token on refresh', async () => {
    const { clock, gateway, client } = await scene()
    const first = await client.getSessionToken('user')
    await clock.advance(HOUR / 2)
    gateway.failNext({ answer: { identity: 'another user' } })
    await client.getSessionToken('user')
    await untilIdle(client)
    expect(await client.getSessionToken('user')).toBe(first)
  })
})

describe('identities', () => {
  it('that resemble or imitate each other never share a token', async () => {
    const { gateway, client } = await scene()
    const identities = [
      'é',
      'e\u0301',
      'user',
      'User',
      ' user',
      'user ',
      '["user",[]]',
      '["user",["a"]]',
      '[',
      '__proto__',
      'constructor',
    ]
    const variants = [undefined, [], ['a'], ['a', 'b'], { scopes: ['b'] }, { scopes: ['a","b'] }]
    const ask = async (): Promise<string[]> => {
      const texts: string[] = []
      for (const identity of identities) {
        for (const variant of variants) {
          const token = await client.getSessionToken(identity, variant as string[])
          expect(token.identity).toBe(identity)
          expect(token.scopes).toEqual(Array.isArray(variant) ? variant : (variant?.scopes ?? []))
          texts.push(token.sessionToken)
        }
      }
      return texts
    }
    const first = await ask()
    // `[]` means the same as no scopes.
    expect(new Set(first).size).toBe(identities.length * (variants.length - 1))
    expect(await ask()).toEqual(first)
    expect(gateway.requests).toHaveLength(new Set(first).size)
  })

  it('receive a token for the scopes of each call, even if the caller changes the array between calls', async () => {
    const { client } = await scene()
    const scopes = ['videos.read']
    await client.getSessionToken('user', scopes)
    scopes[0] = 'videos.admin.read'
    expect((await client.getSessionToken('user', scopes)).scopes).toEqual(['videos.admin.read'])
    scopes.push('videos.read')
    expect((await client.getSessionToken('user', scopes)).scopes).toEqual(['videos.admin.read', 'videos.read'])
  })
})

describe('a burst', () => {
  it('of 10,000 calls for one uncached identity sends one request', async () => {
    const { gateway, client } = await scene()
    const tokens = await Promise.all(Array.from({ length: 10_000 }, () => client.getSessionToken('user')))
    expect(new Set(tokens).size).toBe(1)
    expect(gateway.requests).toHaveLength(1)
    expect(client.stats()).toMatchObject({ misses: 1, coalesced: 9_999, mints: 1, inFlight: 0 })
  })

  it('of 1,000 calls that fail rejects each with its own error, and the failure is remembered briefly', async () => {
    const { clock, gateway, client } = await scene({ maxRetries: 0 })
    gateway.failNext({ status: 503 })
    const calls = Array.from({ length: 1_000 }, () => failureOf(client.getSessionToken('user')))
    const errors = await Promise.all(calls)
    expect(new Set(errors).size).toBe(1_000)
    expect(new Set(errors.map(error => JSON.stringify(error))).size).toBe(1)
    expect(await failureOf(client.getSessionToken('user'))).toMatchObject({ attempts: 0, refusedBy: 'key' })
    await clock.advance(200)
    expect((await client.getSessionToken('user')).identity).toBe('user')
  })

  it('creates two promises for each caller who joins it', async () => {
    const { client } = await scene()
    const calls = [client.getSessionToken('user')]
    let promises = 0
    const count = (_: number, type: string): void => {
      if (type === 'PROMISE') promises++
    }
    const hook = createHook({ init: count }).enable()
    for (let i = 0; i < 100; i++) calls.push(client.getSessionToken('user'))
    hook.disable()
    // With a hook, V8 creates one more promise for each await.
    expect(promises).toBeLessThanOrEqual(100 * 2 * 2)
    await Promise.all(calls)
  })

  it('of 50,000 calls with one signal leaves no listener and causes no warning', async () => {
    const { client } = await scene()
    const warnings: Error[] = []
    const note = (warning: Error): void => void warnings.push(warning)
    process.on('warning', note)
    try {
      const { signal } = new AbortController()
      const identities = Array.from({ length: 50 }, (_, i) => `user-${i}`)
      await Promise.all(
        Array.from({ length: 50_000 }, (_, i) => client.getSessionToken(identities[i % 50] ?? '', { signal })),
      )
      for (const identity of identities) await client.getSessionToken(identity, { signal })
      await new Promise(resolve => setImmediate(resolve))
      expect(getEventListeners(signal, 'abort')).toHaveLength(0)
      expect(warnings).toEqual([])
    } finally {
      process.off('warning', note)
    }
  }, 60_000)
})

describe('events', () => {
  it('go to onEvent and diagnostics_channel and are counted in stats, without a secret, a token or an identity', async () => {
    const channels = [
      'hit',
      'miss',
      'mint',
      'refresh',
      'retry',
      'failure',
      'key-backoff',
      'served-while-failing',
      'invalidation',
    ]
    const messages: unknown[] = []
    const listener = (message: unknown): void => void messages.push(message)
    for (const name of channels) subscribe(`videokit:${name}`, listener)
    try {
      const { clock, gateway, client, recorded } = await scene({ maxRetries: 0 })
      const { sessionToken } = await client.getSessionToken('a-person')
      await clock.advance(HOUR - 30_000)
      gateway.fail({ status: 503 })
      await client.getSessionToken('a-person')
      await client.invalidate('a-person')
      gateway.recover()
      await client.getSessionToken('a-person', ['videos.read'])
      await client.getSessionToken('a-person', ['videos.read'])

      expect(recorded.types()).toEqual([
        'miss',
        'mint',
        'miss',
        'key-backoff',
        'failure',
        'served-while-failing',
        'invalidation',
        'miss',
        'mint',
        'hit',
      ])
      expect(messages).toEqual(recorded.events)
      expect(client.stats()).toEqual({
        hits: 1,
        misses: 3,
        coalesced: 0,
        refreshes: 0,
        mints: 2,
        retries: 0,
        failures: 1,
        leasesTaken: 0,
        leaseWaits: 0,
        leaseTimeouts: 0,
        invalidationsSent: 0,
        invalidationsReceived: 0,
        entries: 1,
        inFlight: 0,
        circuit: 'closed',
        concurrencyLimit: 50,
        queued: 0,
        failingKeys: 1,
      })
      const emitted = JSON.stringify(messages)
      for (const hidden of [sessionToken, gateway.appSecret, 'a-person']) expect(emitted).not.toContain(hidden)
    } finally {
      for (const name of channels) unsubscribe(`videokit:${name}`, listener)
    }
  })

  it('do not affect a call if the listener throws', async () => {
    const { client } = await scene({
      onEvent: () => {
        throw new Error('oops')
      },
    })
    const first = await client.getSessionToken('user')
    expect(await client.getSessionToken('user')).toBe(first)
  })
})
