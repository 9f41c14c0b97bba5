import { describe, expect, it } from '@jest/globals'
import { PEEK } from '../../lib/core/peek.js'
import type { SessionTokenResult, VKitClient, VKitClientOptions } from '../../lib/index.js'
import { FakeClock, type GatewayEmulator } from '../../lib/testing/index.js'
import { failureOf, reasonOf } from '../support/failure.js'
import { makeClient, recordEvents, startGateway } from '../support/gateway.js'
import { RecordingStore } from '../support/recording-store.js'

const nextTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

interface Setup {
  readonly clock: FakeClock
  readonly gateway: GatewayEmulator
  readonly client: VKitClient
  readonly types: () => string[]
  /** Waits until the gateway has received that many requests. */
  readonly received: (count: number) => Promise<void>
}

async function setUp(options?: VKitClientOptions): Promise<Setup> {
  const clock = new FakeClock()
  const gateway = await startGateway({ clock })
  const { types, onEvent } = recordEvents()
  const client = makeClient(gateway, { clock, onEvent, ...options })
  const received = async (count: number): Promise<void> => {
    while (gateway.requests.length < count) await nextTurn()
  }
  return { clock, gateway, client, types, received }
}

/** Returns whether `promise` has settled. */
function watch(promise: Promise<unknown>): () => boolean {
  let isSettled = false
  const settle = (): void => void (isSettled = true)
  promise.then(settle, settle)
  return () => isSettled
}

const codesOf = async (calls: readonly Promise<unknown>[]): Promise<string[]> =>
  Promise.all(calls.map(async call => (await failureOf(call)).code))

describe('close with drainMs', () => {
  it('closes at once if nothing is pending', async () => {
    const { client, clock } = await setUp()
    await client.getSessionToken('user')
    await client.close({ drainMs: 60_000 })
    expect(client.stats()).toMatchObject({ entries: 0, inFlight: 0 })
    expect(clock.sleepers).toBe(0)
  })

  it('lets pending calls end, with their retries', async () => {
    const { client, gateway, clock, received } = await setUp()
    gateway.failNext({ silence: true })
    const call = client.getSessionToken('user', { timeoutMs: 1_000 })
    const uncached = client.getSessionToken('other', { cache: 'no-store' })
    await received(2)
    const closed = client.close({ drainMs: 60_000 })
    await expect(uncached).resolves.toMatchObject({ identity: 'other' })
    await clock.advance(1_000)
    while (gateway.requests.length === 2) await clock.advance(1)
    await expect(call).resolves.toMatchObject({ identity: 'user' })
    await closed
    expect(await failureOf(client.getSessionToken('user'))).toMatchObject({ code: 'VKIT_CLOSED' })
  })

  it('refuses new calls at once, even if their token is cached, each with its own error', async () => {
    const { client, gateway, received } = await setUp()
    const run = client.getSessionTokens(['late'])
    await client.getSessionToken('cached')
    await client.getSessionToken('cached', ['videos.read'])
    gateway.fail({ silence: true })
    const pending = failureOf(client.getSessionToken('pending'))
    await received(3)
    const closed = client.close({ drainMs: 60_000 })
    const peek = Reflect.get(Reflect.get(client, 'getSessionToken'), PEEK) as (...args: unknown[]) => unknown
    expect(peek(client, 'cached', undefined)).toBeUndefined()
    const calls = [
      client.getSessionToken('cached'),
      client.getSessionToken('cached', ['videos.read']),
      client.getSessionToken('cached', { minValidityMs: 1 }),
      client.getSessionToken('pending'),
      client.getSessionToken('new', { cache: 'no-store' }),
      client.warmUp(),
      client.invalidate('cached'),
      run.next(),
      client.getSessionTokens(['cached']).next(),
    ]
    const errors = await Promise.all(calls.map(failureOf))
    expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(['VKIT_CLOSED']))
    expect(new Set(errors).size).toBe(calls.length)
    expect(await failureOf(client.getSessionToken(''))).toMatchObject({ code: 'VKIT_INVALID_ARGUMENT' })
    expect(client.stats()).toMatchObject({ entries: 2, inFlight: 1 })
    await Promise.all([client.close(), closed])
    expect(await pending).toMatchObject({ code: 'VKIT_CLOSED' })
  })

  it('rejects what is still pending after that time', async () => {
    const { client, gateway, clock, received } = await setUp()
    gateway.fail({ silence: true })
    const calls = codesOf([client.getSessionToken('one'), client.getSessionToken('two', { cache: 'no-store' })])
    await received(2)
    const closed = client.close({ drainMs: 2_000 })
    const isClosed = watch(closed)
    await clock.advance(1_999)
    expect(isClosed()).toBe(false)
    await clock.advance(1)
    await closed
    expect(await calls).toEqual(['VKIT_CLOSED', 'VKIT_CLOSED'])
    expect(client.stats()).toMatchObject({ inFlight: 0 })
  })

  it.each<[string, { drainMs: number } | undefined, number]>([
    ['close(): ends at once', undefined, 0],
    ['a drain of 0 ms: ends at once', { drainMs: 0 }, 0],
    ['a shorter drain: ends after the shorter time', { drainMs: 1_000 }, 1_000],
    ['a longer drain: ends after the shorter time', { drainMs: 60_000 }, 5_000],
  ])('and then %s', async (_, second, endsAfterMs) => {
    const { client, gateway, clock, received } = await setUp()
    gateway.fail({ silence: true })
    const call = failureOf(client.getSessionToken('user'))
    await received(1)
    const closes = Promise.all([client.close({ drainMs: 5_000 }), client.close(second)])
    const isClosed = watch(closes)
    if (endsAfterMs > 0) await clock.advance(endsAfterMs - 1)
    expect(isClosed()).toBe(false)
    await clock.advance(1)
    await closes
    expect(await call).toMatchObject({ code: 'VKIT_CLOSED' })
    await client.close({ drainMs: 5_000 })
  })

  it('of 0 ms acts like close()', async () => {
    const { client, gateway, received } = await setUp()
    gateway.fail({ silence: true })
    const call = failureOf(client.getSessionToken('user'))
    await received(1)
    await client.close({ drainMs: 0 })
    expect(await call).toMatchObject({ code: 'VKIT_CLOSED' })
  })

  it('lets a background refresh end, and writes its token to the store', async () => {
    const store = new RecordingStore(new Map<string, string>())
    const { client, gateway, clock, received } = await setUp({ cache: { store } })
    await client.getSessionToken('user')
    await clock.advance(40 * 60_000)
    gateway.failNext({ delayMs: 50 })
    await client.getSessionToken('user')
    await received(2)
    await client.close({ drainMs: 60_000 })
    expect(client.stats()).toMatchObject({ mints: 2 })
    expect(store.writes).toHaveLength(2)
  })

  it('lets a call with a rejected secret read the new one', async () => {
    let secret = 'the-old-secret'
    const { client, gateway, received } = await setUp({ appSecret: () => secret })
    const call = client.getSessionToken('user')
    await received(1)
    secret = gateway.appSecret
    await client.close({ drainMs: 60_000 })
    await expect(call).resolves.toMatchObject({ identity: 'user' })
  })

  it('lets warmUp end', async () => {
    let provide: (secret: string) => void = () => undefined
    const secret = new Promise<string>(resolve => (provide = resolve))
    const { client } = await setUp({ appSecret: () => secret })
    const warm = client.warmUp()
    await nextTurn()
    const closed = client.close({ drainMs: 60_000 })
    const isClosed = watch(closed)
    await nextTurn()
    expect(isClosed()).toBe(false)
    provide('a-long-enough-secret')
    await warm
    await closed
  })

  it.each<[string, unknown]>([
    ['no drainMs', {}],
    ['undefined', { drainMs: undefined }],
    ['a negative time', { drainMs: -1 }],
    ['a string', { drainMs: '5' }],
    ['NaN', { drainMs: NaN }],
    ['another option', { drainMs: 5, drain: true }],
    ['the name of a signal', 'SIGTERM'],
    ['null', null],
  ])('rejects with VKIT_INVALID_ARGUMENT for %s, and stays open', async (_, options) => {
    const { client } = await setUp()
    expect(await failureOf(client.close(options as { drainMs: number }))).toMatchObject({
      code: 'VKIT_INVALID_ARGUMENT',
    })
    await expect(client.getSessionToken('user')).resolves.toBeDefined()
  })
})

describe('getSessionTokens, when the client drains', () => {
  async function collect(results: AsyncIterable<SessionTokenResult>, seen: string[]): Promise<void> {
    for await (const { identity, error } of results) seen.push(error ? `${identity}: ${error.code}` : identity)
  }

  function* endless(seen: { ended?: boolean }): Generator<string> {
    try {
      for (let i = 0; ; i++) yield `user-${i}`
    } finally {
      seen.ended = true
    }
  }

  it.each([{ cache: {} }, { cache: false as const }])(
    'yields the results in flight, closes its source and rejects, with %j',
    async options => {
      const { client, gateway, received } = await setUp(options)
      const source: { ended?: boolean } = {}
      const seen: string[] = []
      gateway.fail({ delayMs: 50 })
      const run = reasonOf(collect(client.getSessionTokens(endless(source), { concurrency: 3 }), seen))
      await received(3)
      await client.close({ drainMs: 60_000 })
      expect(await run).toMatchObject({ code: 'VKIT_CLOSED' })
      expect(seen.sort()).toEqual(['user-0', 'user-1', 'user-2'])
      expect(source.ended).toBe(true)
      expect(gateway.requests).toHaveLength(3)
    },
  )

  it('ends normally if its source had ended', async () => {
    const { client, gateway, received } = await setUp()
    const seen: string[] = []
    gateway.fail({ delayMs: 50 })
    const run = collect(client.getSessionTokens(['a', 'b']), seen)
    await received(2)
    await client.close({ drainMs: 60_000 })
    await run
    expect(seen.sort()).toEqual(['a', 'b'])
  })

  it('yields the last error of an identity that waits for a retry', async () => {
    const { client, gateway, types } = await setUp({ maxRetries: 0 })
    const seen: string[] = []
    gateway.fail({ status: 503, headers: { 'retry-after': '600' } })
    const run = collect(client.getSessionTokens(['a']), seen)
    while (!types().includes('failure')) await nextTurn()
    await nextTurn()
    await client.close({ drainMs: 60_000 })
    await run
    expect(seen).toEqual(['a: VKIT_UNAVAILABLE'])
  })

  it('waits for a consumer that is busy', async () => {
    const { client, gateway, received } = await setUp()
    gateway.fail({ delayMs: 20 })
    const run = client.getSessionTokens(['a', 'b'])
    const first = run.next()
    await received(2)
    await first
    while (client.stats().inFlight > 0) await nextTurn()
    const closed = client.close({ drainMs: 60_000 })
    const isClosed = watch(closed)
    await nextTurn()
    expect(isClosed()).toBe(false)
    await expect(run.next()).resolves.toMatchObject({ done: false, value: { token: expect.anything() } })
    await closed
    await expect(run.next()).resolves.toMatchObject({ done: true })
  })

  it('does not wait for a consumer that leaves', async () => {
    const { client, gateway, received } = await setUp()
    gateway.fail({ delayMs: 20 })
    const run = client.getSessionTokens(['a', 'b'])
    const first = run.next()
    await received(2)
    await first
    const closed = client.close({ drainMs: 60_000 })
    await run.return()
    await closed
  })

  it('rejects after drainMs, without the results in flight', async () => {
    const { client, gateway, clock, received } = await setUp()
    gateway.fail({ silence: true })
    const seen: string[] = []
    const run = reasonOf(collect(client.getSessionTokens(endless({}), { concurrency: 2 }), seen))
    await received(2)
    const closed = client.close({ drainMs: 1_000 })
    await clock.advance(1_000)
    await closed
    expect(await run).toMatchObject({ code: 'VKIT_CLOSED' })
    expect(seen).toEqual([])
  })
})
