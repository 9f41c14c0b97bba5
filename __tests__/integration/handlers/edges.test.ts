import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { setImmediate as nextTick } from 'node:timers/promises'
import {
  createFetchTokenHandler,
  createTokenHandler,
  type EndUser,
  type NodeRequest,
  type TokenHandler,
  type TokenHandlerOptions,
  type TokenSource,
} from '../../../lib/handlers/index.js'
import { VKitClient, VKitConfigError, VKitServerError, type SessionToken } from '../../../lib/index.js'
import { reasonOf } from '../../support/failure.js'
import { afterThisTest, makeClient, startGateway } from '../../support/gateway.js'

const TOKEN: SessionToken = { sessionToken: 'T0KEN', expiresAt: '2030-01-01T00:00:00Z', identity: 'user', scopes: [] }
const authenticate = (): EndUser => 'user'
const working: TokenSource = { getSessionToken: () => Promise.resolve(TOKEN) }
const failing: TokenSource = { getSessionToken: () => Promise.reject(new VKitServerError('The gateway is down.')) }

let printed: jest.SpiedFunction<typeof console.error>
beforeEach(() => {
  printed = jest.spyOn(console, 'error').mockReturnValue()
})
afterEach(() => printed.mockRestore())

async function listen(listener: http.RequestListener): Promise<number> {
  const server = http.createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  afterThisTest(async () => {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  })
  return (server.address() as AddressInfo).port
}

async function get(
  port: number,
): Promise<{ status: number | undefined; text: string; cacheControl: string | undefined }> {
  const [res] = (await once(http.get({ port, host: '127.0.0.1', agent: false }), 'response')) as [http.IncomingMessage]
  let text = ''
  for await (const chunk of res.setEncoding('utf8') as AsyncIterable<string>) text += chunk
  return { status: res.statusCode, text, cacheControl: res.headers['cache-control'] }
}

/** Sends a request. `onRequest` resolves when `listener` has been called. */
async function requestOverHttp2(
  listener: (req: http2.Http2ServerRequest, res: http2.Http2ServerResponse) => void,
): Promise<{ stream: http2.ClientHttp2Stream; onRequest: Promise<unknown> }> {
  const server = http2.createServer(listener).listen(0, '127.0.0.1')
  const onRequest = once(server, 'request')
  await once(server, 'listening')
  const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  afterThisTest(async () => {
    session.destroy()
    server.close()
    await once(server, 'close')
  })
  return { stream: session.request({ ':path': '/token' }), onRequest }
}

describe('a token handler', () => {
  const needsClient = 'The first argument of a token handler must be a VKitClient.'
  const needsOptions = 'The second argument of a token handler must be an object with authenticate.'
  const needsAuthenticate = 'A token handler needs authenticate, a function that returns the user of a request.'
  const needsScopes = 'scopes must be an array of strings.'
  it.each<[string, unknown, unknown, string]>([
    ['no client', undefined, { authenticate }, needsClient],
    ['null as the client', null, { authenticate }, needsClient],
    ['a client without getSessionToken', {}, { authenticate }, needsClient],
    ['no options', working, undefined, needsOptions],
    ['null as the options', working, null, needsOptions],
    ['no authenticate', working, { scopes: [] }, needsAuthenticate],
    ['an authenticate that is not a function', working, { authenticate: 'user' }, needsAuthenticate],
    [
      'a misspelt option',
      working,
      { authenticate, scope: ['videos.read'] },
      'A token handler has no option "scope". ' +
        'Known options: authenticate, scopes, onError, expiresIn, waitUntil, clock.',
    ],
    ['a string as scopes', working, { authenticate, scopes: 'videos.read' }, needsScopes],
    ['a scope that is not a string', working, { authenticate, scopes: ['videos.read', 1] }, needsScopes],
    ['an onError that is not a function', working, { authenticate, onError: true }, 'onError must be a function.'],
    [
      'a lifetime as expiresIn',
      working,
      { authenticate, expiresIn: 3600 },
      'expiresIn must be true or false: the gateway determines how long a token is valid.',
    ],
    ['a waitUntil that is not a function', working, { authenticate, waitUntil: {} }, 'waitUntil must be a function.'],
    ['a clock without now', working, { authenticate, clock: {} }, 'clock must have the method now.'],
    ['null as the clock', working, { authenticate, clock: null }, 'clock must have the method now.'],
  ])('cannot be created with %s', (_, vkit, options, message) => {
    const given = [vkit as TokenSource, options as TokenHandlerOptions<unknown>] as const
    expect(() => createTokenHandler(...given)).toThrow(new VKitConfigError(message))
    expect(() => createFetchTokenHandler(...given)).toThrow(new VKitConfigError(message))
  })

  it('uses the scopes it was created with, even if the array changes later', async () => {
    const gateway = await startGateway()
    const scopes = ['videos.read']
    const handler = createFetchTokenHandler(makeClient(gateway), { authenticate, scopes })
    scopes.push('videos.delete')
    await handler(new Request('http://localhost/token'))
    expect(gateway.requests[0]?.body).toEqual({ identity: 'user', scopes: ['videos.read'] })
  })

  it('reads no identity from a polluted prototype', async () => {
    const gateway = await startGateway()
    const handler = createFetchTokenHandler(makeClient(gateway), {
      authenticate: () => ({}) as EndUser,
      onError: () => undefined,
    })
    Object.defineProperty(Object.prototype, 'identity', { value: 'user-admin', configurable: true })
    try {
      expect((await handler(new Request('http://localhost/token'))).status).toBe(500)
      expect(gateway.requests).toHaveLength(0)
    } finally {
      Reflect.deleteProperty(Object.prototype, 'identity')
    }
  })

  it('reads no scopes from a polluted prototype', async () => {
    const gateway = await startGateway()
    Object.defineProperty(Object.prototype, 'scopes', { value: ['videos.admin.read'], configurable: true })
    try {
      const handler = createFetchTokenHandler(makeClient(gateway), { authenticate: () => 'user' })
      expect((await handler(new Request('http://localhost/token'))).status).toBe(200)
      expect(gateway.requests[0]?.body).toEqual({ identity: 'user', scopes: [] })
    } finally {
      Reflect.deleteProperty(Object.prototype, 'scopes')
    }
  })

  it('sends no expiresIn because of a polluted prototype', async () => {
    Object.defineProperty(Object.prototype, 'expiresIn', { value: true, configurable: true })
    try {
      const handler = createFetchTokenHandler(working, { authenticate })
      const response = await handler(new Request('http://localhost/token'))
      expect(Object.keys((await response.json()) as object)).toEqual(['sessionToken', 'expiresAt', 'identity'])
    } finally {
      Reflect.deleteProperty(Object.prototype, 'expiresIn')
    }
  })

  it.each<[string, () => EndUser]>([
    ['an inherited identity', () => Object.assign(Object.create({ identity: 'user' }), { scopes: [] }) as EndUser],
    ['inherited scopes', () => Object.assign(Object.create({ scopes: [] }), { identity: 'user' }) as EndUser],
  ])('says that it does not read %s', async (_, inherits) => {
    const onError = jest.fn()
    const handler = createFetchTokenHandler(working, { authenticate: inherits, onError })
    expect((await handler(new Request('http://localhost/token'))).status).toBe(500)
    const message =
      'authenticate must return an object with own properties: inherited identity and scopes are not read.'
    expect(onError.mock.calls).toMatchObject([[{ code: 'VKIT_INVALID_ARGUMENT', message }, {}]])
  })

  it('sends an expiresIn by the clock of the machine if no other is given', async () => {
    const now = jest.spyOn(Date, 'now').mockReturnValue(Date.parse(TOKEN.expiresAt) - 60_000)
    try {
      const handler = createFetchTokenHandler(working, { authenticate, expiresIn: true })
      const response = await handler(new Request('http://localhost/token'))
      expect(await response.json()).toMatchObject({ expiresIn: 60 })
    } finally {
      now.mockRestore()
    }
  })

  it('sends no expiresIn if expiresAt is not readable', async () => {
    const source: TokenSource = { getSessionToken: () => Promise.resolve({ ...TOKEN, expiresAt: 'soon' }) }
    const handler = createFetchTokenHandler(source, { authenticate, expiresIn: true })
    const response = await handler(new Request('http://localhost/token'))
    expect(await response.json()).toEqual({ sessionToken: 'T0KEN', expiresAt: 'soon', identity: 'user' })
  })

  it('calls nothing from a polluted prototype', async () => {
    Object.defineProperty(Object.prototype, 'beforeWait', { value: 'polluted', configurable: true })
    try {
      const handler = createFetchTokenHandler(working, { authenticate })
      expect((await handler(new Request('http://localhost/token'))).status).toBe(200)
    } finally {
      Reflect.deleteProperty(Object.prototype, 'beforeWait')
    }
  })

  it('for fetch passes all its arguments to authenticate', async () => {
    const seen: unknown[][] = []
    const handler = createFetchTokenHandler(working, {
      authenticate: (...args: [Request, ...unknown[]]) => {
        seen.push(args)
        return 'user'
      },
    })
    const args = [new Request('http://localhost/token'), { SECRET: 's' }, { waitUntil: () => undefined }] as const
    expect((await handler(...args)).status).toBe(200)
    expect(seen).toEqual([args])
    await handler(args[0])
    expect(seen[1]).toEqual([args[0]])
  })

  it('responds to HTTP/2 requests', async () => {
    const handler = createTokenHandler(working, { authenticate })
    const { stream } = await requestOverHttp2((req, res) => void handler(req, res))
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
    let text = ''
    for await (const chunk of stream.setEncoding('utf8') as AsyncIterable<string>) text += chunk
    expect(headers).toMatchObject({
      ':status': 200,
      'cache-control': 'private, no-store',
      'content-type': 'application/json',
    })
    expect(JSON.parse(text)).toEqual({ sessionToken: 'T0KEN', expiresAt: TOKEN.expiresAt, identity: 'user' })
  })

  it('does not call next if an HTTP/2 client disconnects during authenticate', async () => {
    const next = jest.fn()
    let handled: Promise<void> = Promise.resolve()
    const { stream, onRequest } = await requestOverHttp2((req, res) => {
      const failLate = async (): Promise<EndUser> => {
        stream.on('error', () => undefined).destroy()
        await once(res, 'close')
        throw new Error('too late')
      }
      handled = createTokenHandler(working, { authenticate: failLate })(req, res, next)
    })
    await onRequest
    await handled
    expect(printed.mock.calls).toMatchObject([[{ message: 'too late' }]])
    expect(next).not.toHaveBeenCalled()
  })
})

describe('a call that need not wait', () => {
  async function cached(): Promise<VKitClient> {
    const vkit = makeClient(await startGateway())
    await vkit.getSessionToken('user')
    return vkit
  }

  it('creates no signal and adds no listener', async () => {
    const handler = createTokenHandler(await cached(), { authenticate })
    let added = 0
    const abortControllers = jest.spyOn(globalThis, 'AbortController')
    const port = await listen((req, res) => {
      res.on('newListener', () => added++)
      void handler(req, res).then(() => res.end())
    })
    try {
      expect((await get(port)).status).toBe(200)
      expect([added, abortControllers.mock.calls.length]).toEqual([0, 0])
    } finally {
      abortControllers.mockRestore()
    }
  })

  it('still uses the method of a subclass, and of a client that was replaced by a mock', async () => {
    const gateway = await startGateway()
    class Tenant extends VKitClient {
      override getSessionToken(identity: string): Promise<SessionToken> {
        return super.getSessionToken(`tenant-1/${identity}`)
      }
    }
    const { appSecret, url: baseUrl } = gateway
    const tenant = new Tenant({ appSecret, baseUrl })
    afterThisTest(() => tenant.close())
    await VKitClient.prototype.getSessionToken.call(tenant, 'user')
    const handler = createFetchTokenHandler(tenant, { authenticate })
    expect(await (await handler(new Request('http://localhost/token'))).json()).toMatchObject({
      identity: 'tenant-1/user',
    })

    const mocked = await cached()
    mocked.getSessionToken = () => working.getSessionToken('user')
    const response = await createFetchTokenHandler(mocked, { authenticate })(new Request('http://localhost/token'))
    expect(await response.json()).toMatchObject({ sessionToken: 'T0KEN' })
  })

  it.each<[string, (method: TokenSource['getSessionToken']) => TokenSource['getSessionToken']]>([
    ['a Proxy', method => new Proxy(method, { apply: () => Promise.resolve(TOKEN) })],
    [
      'with a copy of all its properties',
      method => Object.defineProperties(() => Promise.resolve(TOKEN), Object.getOwnPropertyDescriptors(method)),
    ],
  ])('still uses a wrapper of the method: %s', async (_, wrap) => {
    const client = await cached()
    client.getSessionToken = wrap(Reflect.get(client, 'getSessionToken'))
    const response = await createFetchTokenHandler(client, { authenticate })(new Request('http://localhost/token'))
    expect(await response.json()).toMatchObject({ sessionToken: 'T0KEN' })
  })

  it('is served to a request without a signal, as tests create them', async () => {
    const handler = createFetchTokenHandler<{ method: string }>(await cached(), { authenticate })
    expect((await handler({ method: 'GET' })).status).toBe(200)
  })

  it('is not served to a request that was aborted', async () => {
    const handler = createFetchTokenHandler(await cached(), { authenticate })
    expect((await handler(new Request('http://localhost/token', { signal: AbortSignal.abort() }))).status).toBe(499)
  })
})

it('ends the mint of a client that disconnects if tokens are not cached', async () => {
  const gateway = await startGateway()
  let requested = (): void => undefined
  const atGateway = new Promise<void>(resolve => (requested = resolve))
  const appSecret = (): Promise<string> => {
    requested()
    return new Promise(() => undefined)
  }
  const vkit = makeClient(gateway, { cache: false, appSecret })
  let handled: Promise<void> = Promise.resolve()
  const handler = createTokenHandler(vkit, { authenticate })
  const port = await listen((req, res) => void (handled = handler(req, res)))
  const request = http.get({ port, host: '127.0.0.1', agent: false }).on('error', () => undefined)
  await atGateway
  expect(vkit.stats().inFlight).toBe(1)
  request.destroy()
  await handled
  expect(vkit.stats().inFlight).toBe(0)
})

describe('errors', () => {
  const request = new Request('http://localhost/token')

  it('are printed without onError', async () => {
    const response = await createFetchTokenHandler(failing, { authenticate })(request)
    expect(response.status).toBe(503)
    expect(printed.mock.calls).toMatchObject([[{ code: 'VKIT_UNAVAILABLE' }]])
  })

  it('from authenticate are printed on node:http, which has no error hook', async () => {
    const error = new Error('the database is down')
    const handler = createTokenHandler(working, { authenticate: () => Promise.reject(error) })
    const port = await listen((req, res) => void handler(req, res))
    expect(await get(port)).toMatchObject({ status: 500, text: '{"error":{"code":"INTERNAL"}}' })
    expect(printed.mock.calls).toEqual([[error]])
  })

  const down = new Error('the database is down')
  it.each<[string, unknown, Error]>([
    ['are', down, down],
    ['become errors, which', null, new Error('authenticate threw something that is not an error.', { cause: null })],
  ])('%s go to the error hook of the app, and are not printed', async (_, thrown, error) => {
    const next = jest.fn()
    const authenticate = (): never => {
      throw thrown
    }
    const handler = createTokenHandler(working, { authenticate })
    const port = await listen((req, res) => void handler(req, res, next).then(() => res.end('from the app')))
    expect(await get(port)).toMatchObject({ text: 'from the app' })
    expect(next.mock.calls).toEqual([[error]])
    expect(printed).not.toHaveBeenCalled()
  })

  it('are passed to onError together with their request', async () => {
    const onError = jest.fn()
    await createFetchTokenHandler(failing, { authenticate, onError })(request)
    expect(onError.mock.calls).toMatchObject([[{ code: 'VKIT_UNAVAILABLE' }, request]])
    expect(printed).not.toHaveBeenCalled()
  })

  it.each<[string, () => void]>([
    ['throws', () => void JSON.parse('no JSON')],
    ['rejects', () => Promise.reject(new Error('no log')) as unknown as undefined],
  ])('cause the same response even if onError %s', async (_, onError) => {
    const response = await createFetchTokenHandler(failing, { authenticate, onError })(request)
    expect(response.status).toBe(503)
    expect(await response.json()).toEqual({ error: { code: 'VKIT_UNAVAILABLE' } })
  })

  it('from outside the SDK are returned as INTERNAL', async () => {
    const odd: TokenSource = { getSessionToken: () => Promise.reject(new TypeError('SECRET')) }
    const response = await createFetchTokenHandler(odd, { authenticate, onError: () => undefined })(request)
    expect(response.status).toBe(500)
    expect(await response.text()).toBe('{"error":{"code":"INTERNAL"}}')
  })

  it.each([
    [0, '1'],
    [0.999, '5'],
  ])('without a time to retry set Retry-After between 1 and 5 at random: %d', async (random, seconds) => {
    const randoms = jest.spyOn(Math, 'random').mockReturnValue(random)
    try {
      const response = await createFetchTokenHandler(failing, { authenticate })(request)
      expect(response.headers.get('retry-after')).toBe(seconds)
    } finally {
      randoms.mockRestore()
    }
  })

  it('are reported even if the client has disconnected', async () => {
    const onError = jest.fn()
    const disconnect = new AbortController()
    const source: TokenSource = {
      getSessionToken: identity => {
        disconnect.abort()
        return failing.getSessionToken(identity)
      },
    }
    const { signal } = disconnect
    await createFetchTokenHandler(source, { authenticate, onError })({ method: 'GET', signal })
    expect(onError.mock.calls).toMatchObject([[{ code: 'VKIT_UNAVAILABLE' }, {}]])
  })

  it.each([
    [1, '1'],
    [1000, '1'],
    [1001, '2'],
    [0, '1'],
  ])('with retryAfterMs %d set Retry-After: %s', async (retryAfterMs, seconds) => {
    const busy: TokenSource = { getSessionToken: () => Promise.reject(new VKitServerError('busy', { retryAfterMs })) }
    const response = await createFetchTokenHandler(busy, { authenticate, onError: () => undefined })(request)
    expect(response.headers.get('retry-after')).toBe(seconds)
  })
})

describe('a response that the handler must not write', () => {
  /** Starts a server that runs the handler through `around`. `done` resolves when `around` has finished. */
  async function start(
    options: Partial<TokenHandlerOptions<NodeRequest>>,
    around: (handler: TokenHandler<NodeRequest>, req: http.IncomingMessage, res: http.ServerResponse) => Promise<void>,
  ): Promise<{ port: number; done: Promise<http.ServerResponse> }> {
    const handler = createTokenHandler(working, { authenticate, ...options })
    let settle: (done: Promise<http.ServerResponse>) => void
    const done = new Promise<http.ServerResponse>(resolve => (settle = resolve))
    const port = await listen((req, res) => settle(around(handler, req, res).then(() => res)))
    return { port, done }
  }

  it.each<[string, TokenHandlerOptions<NodeRequest>['authenticate'], string | undefined]>([
    ['stays unchanged', authenticate, undefined],
    ['has the headers that keep it out of caches', () => nextTick('user'), 'private, no-store'],
  ])('%s if a timeout of the app has already responded', async (_, authenticate, cacheControl) => {
    const { port, done } = await start({ authenticate }, async (handler, req, res) => {
      const handled = handler(req, res)
      res.writeHead(503).write('from ')
      await handled
      res.end('the app')
    })
    expect(await get(port)).toMatchObject({ status: 503, text: 'from the app', cacheControl })
    await done
    expect(printed).not.toHaveBeenCalled()
  })

  it('is not written, and next is not called, if the client disconnects during authenticate', async () => {
    const next = jest.fn()
    const onError = jest.fn()
    let close: () => Promise<unknown> = () => Promise.reject(new Error('no response yet'))
    const failLate = async (): Promise<EndUser> => {
      await close()
      throw new Error('too late')
    }
    const { port, done } = await start({ authenticate: failLate, onError }, async (handler, req, res) => {
      close = () => once(req.socket.destroy(), 'close')
      await handler(req, res, next)
    })
    expect(await reasonOf(get(port))).toMatchObject({ code: 'ECONNRESET' })
    expect(await done).toMatchObject({ headersSent: false, writableEnded: false })
    expect(onError.mock.calls).toMatchObject([[{ message: 'too late' }, {}]])
    expect(next).not.toHaveBeenCalled()
  })

  it('is not written, and no token is requested, if the client has already disconnected', async () => {
    const gateway = await startGateway()
    const handler = createTokenHandler(makeClient(gateway), { authenticate })
    const { port, done } = await start({}, async (_, req, res) => {
      req.socket.destroy()
      await once(res, 'close')
      await handler(req, res)
    })
    await reasonOf(get(port))
    expect((await done).headersSent).toBe(false)
    expect(gateway.requests).toHaveLength(0)
  })

  it.each<[string, () => Promise<EndUser>]>([
    ['responds', () => Promise.resolve('user')],
    ['calls next', () => Promise.reject(new Error('too bad'))],
  ])('has no listener left after the handler %s', async (_, authenticate) => {
    const counts: number[] = []
    const { port, done } = await start({ authenticate }, async (handler, req, res) => {
      const count = (): number => counts.push(res.listenerCount('close'))
      count()
      await handler(req, res, count)
      count()
      res.end()
    })
    await get(port)
    await done
    expect(new Set(counts)).toEqual(new Set([counts[0]]))
  })

  it('is an empty 499 from the fetch handler if the request was aborted', async () => {
    const gateway = await startGateway()
    const signal = AbortSignal.abort()
    const response = await createFetchTokenHandler(makeClient(gateway), { authenticate })(
      new Request('http://localhost/token', { signal }),
    )
    expect(response.status).toBe(499)
    expect(await response.text()).toBe('')
    expect(response.headers.get('cache-control')).toBe('private, no-store')
    expect(gateway.requests).toHaveLength(0)
  })
})
