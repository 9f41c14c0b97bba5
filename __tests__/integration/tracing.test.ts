import { describe, expect, it } from '@jest/globals'
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel'
import {
  VKitServerError,
  type SessionToken,
  type VKitClient,
  type VKitClientOptions,
  type VKitMintTrace,
} from '../../lib/index.js'
import { assertNoSecret, FakeClock, type GatewayEmulator } from '../../lib/testing/index.js'
import { failureOf, reasonOf } from '../support/failure.js'
import { afterThisTest, makeClient, recordEvents, startGateway } from '../support/gateway.js'
import { recordTraces, type RecordedTraces, type Trace } from '../support/traces.js'

const USER = 'identity-of-a-user'
const REQUEST_ID = { 'x-request-id': 'request-1' }

interface Scene {
  readonly gateway: GatewayEmulator
  readonly client: VKitClient
  readonly traces: RecordedTraces
  /** Gets a token, which no trace may contain. */
  readonly get: (identity?: string, options?: Parameters<VKitClient['getSessionToken']>[1]) => Promise<SessionToken>
}

async function setUp(
  options?: VKitClientOptions,
  onPublish?: (name: string, trace: Trace, client: VKitClient) => void,
): Promise<Scene> {
  const gateway = await startGateway(options?.clock && { clock: options.clock })
  const client = makeClient(gateway, options)
  const traces = recordTraces((name, trace) => onPublish?.(name, trace, client))
  const tokens: string[] = []
  afterThisTest(async () => {
    for (const text of [gateway.appSecret, USER, ...tokens]) assertNoSecret(traces, text)
  })
  const get: Scene['get'] = async (identity = USER, options) => {
    const token = await client.getSessionToken(identity, options as object)
    tokens.push(token.sessionToken)
    return token
  }
  return { gateway, client, traces, get }
}

/** Waits for sockets and promises, which need turns of the event loop. */
async function until(isDone: () => boolean): Promise<void> {
  while (!isDone()) await new Promise(resolve => setImmediate(resolve))
}

const refusedBy403 = (gateway: GatewayEmulator): void =>
  gateway.failNext({ status: 403, headers: REQUEST_ID, body: { error: `${USER} may not do this` } })

describe('a call that waits for a mint', () => {
  it('is published with its mint, in the order of tracePromise', async () => {
    const { gateway, traces, get } = await setUp()
    gateway.failNext({ headers: REQUEST_ID })
    await get()
    await get()
    expect(traces.names).toEqual([
      ...['call:start', 'call:end', 'mint:start', 'mint:end'],
      ...['mint:asyncStart', 'mint:asyncEnd', 'call:asyncStart', 'call:asyncEnd'],
    ])
    expect(traces.calls).toEqual([{ coalesced: false }])
    expect(traces.mints).toEqual([{ background: false, bulk: false, attempts: 1, status: 200, requestId: 'request-1' }])
    expect(traces.copies[2]).toEqual({ background: false, bulk: false })
  })

  it('is published with its failure, without the text of the gateway', async () => {
    const { gateway, traces, get } = await setUp()
    refusedBy403(gateway)
    const error = await failureOf(get())
    expect(traces.names.slice(4)).toEqual([
      ...['mint:error', 'mint:asyncStart', 'mint:asyncEnd'],
      ...['call:error', 'call:asyncStart', 'call:asyncEnd'],
    ])
    const details = { attempts: 1, status: 403, requestId: 'request-1', error: { code: 'VKIT_FORBIDDEN' } }
    expect(traces.mints).toMatchObject([details])
    expect(traces.calls).toMatchObject([{ coalesced: false, ...details }])
    expect(traces.mints[0]?.error?.name).toBe('VKitPermissionError')
    expect(error.message).toContain(USER)
  })

  it('has one mint for all its attempts', async () => {
    const { gateway, traces, get } = await setUp()
    gateway.failNext({ status: 503 })
    await get()
    expect(traces.mints).toEqual([{ background: false, bulk: false, attempts: 2, status: 200 }])
  })

  it('has one mint for the attempts with an old and a new app secret', async () => {
    const secrets = ['an-old-app-secret', 'a-new-app-secret']
    const { gateway, traces, get } = await setUp({ appSecret: async () => secrets.shift() ?? '' })
    gateway.appSecret = 'a-new-app-secret'
    await get()
    expect(traces.mints).toMatchObject([{ attempts: 2, status: 200 }])
    assertNoSecret(traces, 'an-old-app-secret')
  })

  it('has a mint without an attempt if it is refused', async () => {
    const { gateway, traces, get } = await setUp()
    refusedBy403(gateway)
    await reasonOf(get())
    await reasonOf(get())
    expect(traces.mints[1]).toMatchObject({ attempts: 0, status: 403, error: { code: 'VKIT_FORBIDDEN' } })
    expect(gateway.requests).toHaveLength(1)
  })
})

describe('calls that share a flight', () => {
  it('have one trace each, and one mint, in the async context of the call that started it', async () => {
    const { gateway, traces, get } = await setUp()
    const store = bindStore('videokit:call')
    const parents = contextsOfRequests(store)
    await Promise.all([get(), get(), get(USER, { cache: 'reload' })])
    expect(traces.calls).toEqual([{ coalesced: false }, { coalesced: true }, { coalesced: true }])
    expect(new Set(traces.calls).size).toBe(3)
    expect(traces.mints).toHaveLength(1)
    expect(gateway.requests).toHaveLength(1)
    expect(parents).toEqual([traces.calls[0]])
    expect(parents[0]).toBe(traces.calls[0])
  })

  it('leave a mint that goes on', async () => {
    const { gateway, client, traces, get } = await setUp()
    const leaving = new AbortController()
    gateway.failNext({ delayMs: 20 })
    const waiting = reasonOf(get(USER, { signal: leaving.signal }))
    await until(() => gateway.requests.length === 1)
    leaving.abort(new Error(USER))
    expect(await waiting).toBe(leaving.signal.reason)
    expect(traces.calls).toMatchObject([{ coalesced: false, error: { name: 'AbortError', message: 'AbortError' } }])
    expect(traces.names.at(-1)).toBe('call:asyncEnd')
    await until(() => client.stats().inFlight === 0)
    expect(traces.names.at(-1)).toBe('mint:asyncEnd')
    expect(traces.mints).toEqual([{ background: false, bulk: false, attempts: 1, status: 200 }])
  })
})

describe('a mint', () => {
  it('is marked if it is a refresh in the background', async () => {
    const clock = new FakeClock()
    const { client, traces, get } = await setUp({ clock })
    await get()
    await clock.advance(3_000_000)
    await get()
    await until(() => client.stats().inFlight === 0)
    expect(traces.calls).toHaveLength(1)
    expect(traces.mints).toMatchObject([
      { background: false, status: 200 },
      { background: true, bulk: false, status: 200 },
    ])
  })

  it('is marked if it is for getSessionTokens', async () => {
    const { client, traces } = await setUp()
    for await (const { token } of client.getSessionTokens([USER])) expect(token?.identity).toBe(USER)
    expect(traces.mints).toMatchObject([{ background: false, bulk: true }])
    expect(traces.calls).toEqual([])
  })

  it('ends with an error that shows nothing of the reason of a caller', async () => {
    const { gateway, traces, get } = await setUp()
    const leaving = new AbortController()
    gateway.failNext({ silence: true })
    const waiting = reasonOf(get(USER, { cache: 'no-store', signal: leaving.signal }))
    await until(() => gateway.requests.length === 1)
    leaving.abort({ name: USER, token: gateway.appSecret })
    expect(await waiting).toBe(leaving.signal.reason)
    const aborted = { error: { name: 'AbortError', message: 'AbortError' } }
    expect(traces.mints).toMatchObject([{ ...aborted, attempts: 1 }])
    expect(traces.calls).toMatchObject([{ ...aborted, coalesced: false }])
  })

  it.each<[string, () => unknown]>([
    ['the error of another call', () => new VKitServerError('down', { attempts: 7, status: 503, requestId: 'other' })],
    [
      'a Proxy that throws',
      () =>
        new Proxy(
          {},
          {
            has: () => {
              throw new Error('no')
            },
          },
        ),
    ],
  ])('ends as aborted, and its call too, if the reason is %s', async (_, makeReason) => {
    for (const cache of ['default', 'no-store'] as const) {
      const { events, onEvent } = recordEvents()
      const { gateway, client, traces, get } = await setUp({ onEvent })
      const leaving = new AbortController()
      gateway.failNext({ silence: true })
      const waiting = reasonOf(get(USER, { cache, signal: leaving.signal }))
      await until(() => gateway.requests.length === 1)
      leaving.abort(makeReason())
      expect((await waiting) === leaving.signal.reason).toBe(true)
      await client.close()
      await until(() => traces.names.includes('mint:asyncEnd'))
      expect(traces.calls.map(call => ({ ...call }))).toEqual([{ coalesced: false, error: new Error('AbortError') }])
      const name = cache === 'default' ? 'VKitClosedError' : 'AbortError'
      expect(traces.mints).toMatchObject([{ attempts: 1, error: { name } }])
      expect(events.filter(({ type }) => type === 'failure')).toHaveLength(cache === 'default' ? 1 : 0)
    }
  })

  it('ends when the client is closed', async () => {
    const { gateway, client, traces, get } = await setUp()
    gateway.failNext({ silence: true })
    const waiting = failureOf(get())
    await until(() => gateway.requests.length === 1)
    await client.close()
    expect(await waiting).toMatchObject({ code: 'VKIT_CLOSED' })
    expect([...traces.mints, ...traces.calls]).toMatchObject(Array(2).fill({ error: { code: 'VKIT_CLOSED' } }))
  })

  it('is not published to those who subscribe after its start', async () => {
    const gateway = await startGateway()
    gateway.failNext({ delayMs: 20 })
    const waiting = makeClient(gateway).getSessionToken(USER)
    await until(() => gateway.requests.length === 1)
    const traces = recordTraces()
    await waiting
    expect(traces.names).toEqual([])
  })
})

describe('a bound AsyncLocalStorage', () => {
  it('has the value of the mint when its request is sent, also in the background and after the queue', async () => {
    const clock = new FakeClock()
    const { gateway, client, traces, get } = await setUp({ clock, maxConnections: 1 })
    const parents = contextsOfRequests(bindStore('videokit:mint'))
    gateway.failNext({ status: 429 })
    const first = get('first')
    await until(() => gateway.requests.length === 1)
    const others = Promise.all([get('second'), get('third')])
    while (gateway.mints < 3) {
      await clock.advance(100)
      await new Promise(resolve => setImmediate(resolve))
    }
    await Promise.all([first, others])
    await clock.advance(3_000_000)
    await get('first')
    await until(() => client.stats().inFlight === 0)
    expect(traces.mints).toHaveLength(4)
    expect(parents).toHaveLength(5)
    expect(new Set(parents)).toEqual(new Set(traces.mints))
  })

  it('is not changed for the caller', async () => {
    const { get } = await setUp()
    const store = bindStore('videokit:call')
    await get()
    expect(store.getStore()).toBeUndefined()
  })
})

describe('a subscriber', () => {
  const kinds = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'].flatMap(name => [`call:${name}`, `mint:${name}`])

  it.each(kinds)('that closes the client ends the call: %s', async when => {
    const close = (name: string, client: VKitClient): void => {
      if (name === when) void client.close()
    }
    const { gateway, client, get } = await setUp({}, (name, _, client) => close(name, client))
    if (when.endsWith('error')) refusedBy403(gateway)
    const result = await get().catch((error: unknown) => (error as { code: string }).code)
    if (/(?:mint|call):(?:start|end)$/.test(when)) expect(result).toBe('VKIT_CLOSED')
    expect(client.stats()).toMatchObject({ inFlight: 0, entries: 0 })
  })

  it.each([
    ['freezes it', (trace: object) => Object.freeze(trace)],
    [
      'adds a setter',
      (trace: object) =>
        Reflect.defineProperty(trace, 'error', {
          set: () => {
            throw new Error('no')
          },
          configurable: false,
        }),
    ],
    ['adds its own data', (trace: object) => Object.assign(trace, { span: {}, attempts: -1, coalesced: 'no' })],
    [
      'removes what is there',
      (trace: object) => Reflect.ownKeys(trace).forEach(key => Reflect.deleteProperty(trace, key)),
    ],
  ])('that changes the context does not change the call: it %s', async (_, change) => {
    const { gateway, client, get } = await setUp({}, (_, trace) => change(trace))
    gateway.failNext({ status: 503 })
    expect((await get()).identity).toBe(USER)
    gateway.fail({ status: 403, body: { error: 'no' } })
    expect(await failureOf(get('another'))).toMatchObject({ code: 'VKIT_FORBIDDEN', attempts: 1 })
    expect(client.stats()).toMatchObject({ mints: 1, failures: 1, inFlight: 0 })
  })
})

describe('a bound store of another class than AsyncLocalStorage', () => {
  const fail = (): never => {
    throw new Error('oops')
  }
  it.each<[string, (context: unknown, run: () => unknown) => unknown]>([
    ['throws at once', fail],
    ['throws at the end', (_, run) => [run(), fail()]],
    ['does not run its callback', () => undefined],
    ['runs its callback twice', (_, run) => [run(), run()]],
  ])('that %s does not change the call', async (_, run) => {
    const { gateway, get } = await setUp()
    bindStore('videokit:call', Object.assign(new AsyncLocalStorage<unknown>(), { run }))
    bindStore('videokit:mint', Object.assign(new AsyncLocalStorage<unknown>(), { run }))
    expect((await get()).identity).toBe(USER)
    expect(gateway.requests).toHaveLength(1)
  })
})

/** Binds a store to the start of these traces, until the end of the test. */
function bindStore(name: string, store = new AsyncLocalStorage<unknown>()): AsyncLocalStorage<unknown> {
  const { start } = tracingChannel<unknown, VKitMintTrace>(name)
  start.bindStore(store, trace => trace)
  afterThisTest(async () => void start.unbindStore(store))
  return store
}

/** Collects the value of `store` at each HTTP request, until the end of the test. */
function contextsOfRequests(store: AsyncLocalStorage<unknown>): unknown[] {
  const contexts: unknown[] = []
  const record = (): void => void contexts.push(store.getStore())
  subscribe('http.client.request.start', record)
  afterThisTest(async () => void unsubscribe('http.client.request.start', record))
  return contexts
}
