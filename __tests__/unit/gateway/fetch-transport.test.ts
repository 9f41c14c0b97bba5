import { describe, expect, it, jest } from '@jest/globals'
import type { Socket } from 'node:net'
import { systemClock, type Clock } from '../../../lib/core/clock.js'
import { Deadline } from '../../../lib/core/deadline.js'
import { FetchTransport } from '../../../lib/gateway/fetch-transport.js'
import type { GatewayResponse } from '../../../lib/gateway/response.js'
import type { ExchangeRequest, Fetch, FetchInit, FetchResponse } from '../../../lib/gateway/transport.js'
import { assertNoSecret, FakeClock } from '../../../lib/testing/index.js'
import { makeCertificate } from '../../support/certificates.js'
import { failureOf, reasonOf } from '../../support/failure.js'
import { freePort } from '../../support/free-port.js'
import { afterThisTest } from '../../support/gateway.js'
import { respondWithToken, startRecordingServer, type RecordingServer } from '../../support/recording-server.js'

const SECRET = 'sk-THE-APP-SECRET'
const BODY = '{"identity":"user","scopes":[]}'
const TOKEN = { sessionToken: 'token-of-user', expiresAt: '2099-01-01T00:00:00Z', identity: 'user' }

interface Setup {
  readonly transport: FetchTransport
  readonly deadline: Deadline
  readonly exchange: (request?: Partial<ExchangeRequest>) => Promise<GatewayResponse>
}

function setUp(url: string, { fetch, clock = systemClock }: { fetch?: Fetch; clock?: Clock } = {}): Setup {
  const transport = new FetchTransport({ endpoint: () => new URL('/v1/sessions', url), fetch, clock })
  const deadline = new Deadline(systemClock, 60_000, () => new Error('the deadline'))
  afterThisTest(async () => {
    deadline.clear()
    transport.close()
  })
  const exchange: Setup['exchange'] = request =>
    transport.exchange({ secret: SECRET, identity: 'user', body: BODY, deadline, timeoutMs: 5_000, ...request })
  return { transport, deadline, exchange }
}

async function setUpServer(clock?: Clock): Promise<Setup & { readonly server: RecordingServer }> {
  const server = await startRecordingServer()
  return { server, ...setUp(`http://127.0.0.1:${server.port}`, clock && { clock }) }
}

/** A transport with this `fetch`, which sends nothing. */
const setUpFetch = (fetch: Fetch, clock?: Clock): Setup =>
  setUp('https://gateway.example', { fetch, ...(clock && { clock }) })

/** Replaces a global for this test. */
function replaceGlobal(name: 'fetch' | 'Request' | 'navigator', value: unknown): void {
  const before = Object.getOwnPropertyDescriptor(globalThis, name)
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
  afterThisTest(async () => {
    if (before) Object.defineProperty(globalThis, name, before)
    else Reflect.deleteProperty(globalThis, name)
  })
}

const json = (body: unknown, init?: ResponseInit): FetchResponse => new Response(JSON.stringify(body), init)

/** A `fetch` that records what it gets. */
function recordingFetch(): { readonly calls: [url: string, init: FetchInit][]; readonly fetch: Fetch } {
  const calls: [url: string, init: FetchInit][] = []
  return { calls, fetch: async (...call) => (calls.push(call), json(TOKEN)) }
}

const ok = (length: number, head = ''): string => `HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n${head}\r\n`

/** Does not use `events.once`, which rejects on the reset that a client sends if bytes are unread. */
function untilClosed(socket: Socket): Promise<void> {
  return new Promise(resolve => (socket.closed ? resolve() : socket.once('close', () => resolve())))
}

/** Resolves when the server receives a request. The server responds with only `text`. */
function untilRequested(server: RecordingServer, text: string): Promise<Socket> {
  return new Promise(resolve => {
    server.respond = socket => {
      socket.write(text)
      resolve(socket)
    }
  })
}

describe('one exchange with fetch', () => {
  it('resolves with the JSON object and the date of the response', async () => {
    const { server, exchange } = await setUpServer()
    const body = JSON.stringify(TOKEN)
    const date = 'Tue, 01 Jan 2030 00:00:00 GMT'
    server.respond = socket => socket.write(ok(body.length, `date: ${date}\r\n`) + body)
    expect(await exchange()).toEqual({ status: 200, requestId: undefined, body: TOKEN, dateMs: Date.parse(date) })
  })

  it('sends one POST with the bearer token, these headers and the body', async () => {
    const { server, exchange } = await setUpServer()
    await exchange()
    const [head = '', body] = server.requests.join('').split('\r\n\r\n')
    expect(body).toBe(BODY)
    expect(head.split('\r\n')).toEqual(
      expect.arrayContaining([
        'POST /v1/sessions HTTP/1.1',
        'content-type: application/json',
        'accept: application/json',
        'accept-encoding: identity',
        `authorization: Bearer ${SECRET}`,
        'cache-control: no-cache',
        expect.stringMatching(/^user-agent: videokit-nodejs\/\S+( Node\.js\/\d+)?$/),
      ]),
    )
    expect(server.requests).toHaveLength(1)
  })

  it('passes these options to a fetch of the caller, and no cache or redirect', async () => {
    const { calls, fetch } = recordingFetch()
    await setUpFetch(fetch).exchange()
    const [[url, init] = []] = calls
    expect(url).toBe('https://gateway.example/v1/sessions')
    expect(init).toMatchObject({ method: 'POST', body: BODY, redirect: 'manual', cache: 'no-store' })
    expect(init?.signal.aborted).toBe(false)
    // What a fetch reads without setting it must not come from Object.prototype.
    expect([init, init?.headers].map(each => Object.getPrototypeOf(each) as unknown)).toEqual([null, null])
  })

  it('reads a body of many chunks, and a byte order mark before it', async () => {
    const bytes = new TextEncoder().encode(`\ufeff${JSON.stringify(TOKEN)}`)
    const body = new ReadableStream<Uint8Array>({
      start: controller => {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte))
        controller.close()
      },
    })
    const { exchange } = setUpFetch(async () => new Response(body))
    expect(await exchange()).toMatchObject({ body: TOKEN })
  })

  it.each([{ done: true, value: new Uint8Array(1) }, { done: false }])(
    'reads a body up to the first read that is the last one or has no bytes: %j',
    async last => {
      const reads = [{ done: false, value: new TextEncoder().encode(JSON.stringify(TOKEN)) }, last]
      const body = { getReader: () => ({ read: async () => reads.shift(), cancel: async () => undefined }) }
      const { exchange } = setUpFetch(async () => ({ status: 200, headers: new Headers(), body }))
      expect(await exchange()).toMatchObject({ body: TOKEN })
    },
  )

  it('ends a request whose response has no body, because Node would wait for one that a 304 announces', async () => {
    let ended: AbortSignal | undefined
    const { exchange } = setUpFetch(async (_, { signal }) => {
      ended = signal
      return { status: 304, headers: new Headers(), body: null }
    })
    expect(await failureOf(exchange())).toMatchObject({ status: 304 })
    expect(ended?.aborted).toBe(true)
  })

  it('reads headers of any case', async () => {
    const headers = Object.entries({ 'Retry-After': '7', ['__proto__']: 'x', 'X-Request-Id': 'req_1' })
    const { exchange } = setUpFetch(async () => ({
      status: 503,
      headers: { forEach: callback => headers.forEach(([name, value]) => callback(value, name)) },
      body: null,
    }))
    expect(await failureOf(exchange())).toMatchObject({ retryAfterMs: 7_000, requestId: 'req_1' })
  })

  it('calls onDispatch before the request is sent', async () => {
    const { calls, fetch } = recordingFetch()
    const seen: number[] = []
    await setUpFetch(fetch).exchange({ onDispatch: () => seen.push(calls.length) })
    expect(seen).toEqual([0])
  })

  it('has no limit of its own, nothing to load, and nothing to connect', async () => {
    const fetch = jest.fn<Fetch>()
    const { transport } = setUpFetch(fetch)
    expect(transport.maxConnections).toBe(Infinity)
    await transport.load().then(() => transport.preconnect().then())
    expect(fetch).not.toHaveBeenCalled()
  })
})

describe('the fetch that is called', () => {
  it('is the global one at the time of the exchange, without a this', async () => {
    const receivers: unknown[] = []
    const { exchange } = setUp('https://gateway.example')
    replaceGlobal('fetch', async function (this: unknown) {
      receivers.push(this)
      return json(TOKEN)
    })
    expect(await exchange()).toMatchObject({ body: TOKEN })
    expect(receivers).toEqual([undefined])
  })

  it('is required: without one, the error says so and nothing counts as sent', async () => {
    replaceGlobal('fetch', undefined)
    const onNotSent = jest.fn()
    const error = await failureOf(setUp('https://gateway.example').exchange({ onNotSent }))
    const message = 'This runtime has no fetch. Pass one as the option fetch.'
    expect(error).toMatchObject({ code: 'VKIT_CONFIG', message })
    expect(onNotSent).toHaveBeenCalledTimes(1)
    expect(await failureOf(setUp('https://gateway.example').exchange())).toMatchObject({ message })
  })

  it('gets no cache mode in a runtime that rejects it, which is checked once and without a request', async () => {
    const { calls, fetch } = recordingFetch()
    const { exchange } = setUpFetch(fetch)
    const inits: unknown[] = []
    replaceGlobal('Request', function (_: string, init?: object) {
      inits.push(init && { ...init })
      if (init) throw new TypeError("The 'cache' field on 'RequestInitializerDict' is not implemented.")
    })
    await exchange()
    await exchange()
    expect(inits).toEqual([{ cache: 'no-store' }, undefined])
    expect(calls.map(([, init]) => 'cache' in init)).toEqual([false, false])
  })

  it('cannot pass the limit of 64 KiB with chunks that have no length', async () => {
    const read = jest.fn(async () => ({ done: false, value: new ArrayBuffer(1024) }))
    const body = { getReader: () => ({ read, cancel: async () => undefined }) }
    const { exchange } = setUpFetch(async () => ({ status: 200, headers: new Headers(), body }))
    expect(await failureOf(exchange())).toMatchObject({ code: 'VKIT_CONNECTION', cause: { name: 'TypeError' } })
    expect(read).toHaveBeenCalledTimes(1)
  })

  it('gets the cache mode in a runtime without Request, where it cannot be checked', async () => {
    const { calls, fetch } = recordingFetch()
    replaceGlobal('Request', undefined)
    await setUpFetch(fetch).exchange()
    expect(calls[0]?.[1].cache).toBe('no-store')
  })

  it.each([
    ['Cloudflare-Workers', / Cloudflare-Workers$/],
    ['Mozilla/5.0 (X11; Linux)', /^\S+$/],
    ['x'.repeat(41), /^\S+$/],
    [42, /^\S+$/],
  ])('gets a user agent with the name of the runtime, if that is one short word: %s', async (userAgent, expected) => {
    replaceGlobal('navigator', { userAgent })
    const { calls, fetch } = recordingFetch()
    await setUpFetch(fetch).exchange()
    expect(calls[0]?.[1].headers['user-agent']).toMatch(expected)
    expect(calls[0]?.[1].headers['user-agent']).toMatch(/^videokit-nodejs\//)
  })
})

describe('an exchange with fetch that fails', () => {
  const tooLong = ' '.repeat(64 * 1024 + 1)

  it.each<[string, (socket: Socket) => void, object]>([
    ['a connection reset', socket => socket.resetAndDestroy(), { code: 'VKIT_CONNECTION', retryable: true }],
    [
      'a truncated response',
      socket => socket.end(`${ok(JSON.stringify(TOKEN).length + 1)}${JSON.stringify(TOKEN)}`),
      { code: 'VKIT_CONNECTION', retryable: true },
    ],
    [
      'a body over 64 KiB',
      socket => socket.write(ok(tooLong.length) + tooLong),
      { code: 'VKIT_INVALID_RESPONSE', message: expect.stringContaining('sent more than 64 KiB.') },
    ],
    [
      'headers that are too long for the runtime',
      socket => socket.write(ok(0, `x: ${'y'.repeat(16 * 1024)}\r\n`)),
      { code: 'VKIT_INVALID_RESPONSE', message: expect.stringContaining('of headers.') },
    ],
    [
      'text that is not HTTP',
      socket => socket.write('SSH-2.0-OpenSSH_9.6\r\n'),
      { code: 'VKIT_INVALID_RESPONSE', message: expect.stringContaining('is not valid HTTP') },
    ],
    [
      'a redirect, which is not followed',
      socket => socket.write('HTTP/1.1 307 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n'),
      { code: 'VKIT_REDIRECT', status: 307 },
    ],
    [
      'a 503',
      socket => socket.write('HTTP/1.1 503 Down\r\ncontent-length: 0\r\n\r\n'),
      { code: 'VKIT_UNAVAILABLE', status: 503, retryable: true },
    ],
  ])('rejects with a typed error after %s', async (_, respond, expected) => {
    const { server, exchange } = await setUpServer()
    server.respond = respond
    const error = await failureOf(exchange())
    expect(error).toMatchObject(expected)
    assertNoSecret(error, SECRET)
    expect(server.requests).toHaveLength(1)
    server.respond = respondWithToken
    expect(await exchange()).toMatchObject({ body: TOKEN })
  })

  it('rejects with VKIT_TLS if the certificate is not trusted, and sends nothing', async () => {
    const server = await startRecordingServer(makeCertificate())
    const error = await failureOf(setUp(`https://127.0.0.1:${server.port}`).exchange())
    expect(error).toMatchObject({ code: 'VKIT_TLS', cause: { code: expect.stringContaining('CERT') } })
    expect(server.requests).toEqual([])
  })

  it('rejects with the code of the connection if it is refused', async () => {
    const error = await failureOf(setUp(`http://127.0.0.1:${await freePort()}`).exchange())
    expect(error).toMatchObject({ code: 'VKIT_CONNECTION', retryable: true, cause: { code: 'ECONNREFUSED' } })
  })

  it('accepts a body of 64 KiB', async () => {
    const { server, exchange } = await setUpServer()
    const body = JSON.stringify(TOKEN).padEnd(64 * 1024)
    server.respond = socket => socket.write(ok(body.length) + body)
    expect(await exchange()).toMatchObject({ body: TOKEN })
  })

  it.each<[string, Partial<FetchResponse>]>([
    ['the status of an opaque redirect', { status: 0 }],
    ['a redirect that fetch has followed', { status: 200, redirected: true }],
  ])('rejects with VKIT_REDIRECT, and cancels the body, after %s', async (_, response) => {
    const cancel = jest.fn(async () => undefined)
    const body = new ReadableStream({ cancel })
    const { exchange } = setUpFetch(async () => ({ status: 200, headers: new Headers(), body, ...response }))
    const message =
      'https://gateway.example:443/v1/sessions responded with a redirect, which the client does not follow. Check baseUrl.'
    expect(await failureOf(exchange())).toMatchObject({ code: 'VKIT_REDIRECT', retryable: false, message })
    expect(cancel).toHaveBeenCalledTimes(1)
  })

  const hostile = new Proxy(new Error(SECRET), {
    get: () => {
      throw new Error(SECRET)
    },
    has: () => {
      throw new Error(SECRET)
    },
    getPrototypeOf: () => {
      throw new Error(SECRET)
    },
  })

  it.each<[string, unknown, string]>([
    ['an error of Workers', new Error('Network connection lost.'), '(Error)'],
    ['an internal error', new Error(`internal error; reference = ${SECRET}`), '(Error)'],
    ['an error with a cause', new TypeError(SECRET, { cause: { code: 'ENOTFOUND', host: SECRET } }), '(ENOTFOUND)'],
    ['an error without a cause', Object.assign(new Error(SECRET), { cause: null, code: 'EPIPE' }), '(EPIPE)'],
    ['an error whose cause is a text', Object.assign(new Error(), { cause: SECRET, code: 'EPIPE' }), '(EPIPE)'],
    ['a DOMException', new DOMException(SECRET, 'NetworkError'), '(NetworkError)'],
    ['a frozen object', Object.freeze({ message: SECRET, code: SECRET }), '(Error)'],
    ['a text', SECRET, '(no code)'],
    ['undefined', undefined, '(no code)'],
    ['an object that throws on every access', hostile, '(Error)'],
  ])('hides what fetch throws: %s', async (_, thrown, code) => {
    const throwing: Fetch[] = [
      () => {
        throw thrown
      },
      () => Promise.reject(thrown),
      async () => new Response(new ReadableStream({ pull: controller => controller.error(thrown) })),
    ]
    for (const fetch of throwing) {
      const error = await failureOf(setUpFetch(fetch).exchange())
      const message = `The connection to https://gateway.example:443/v1/sessions failed ${code}.`
      expect(error).toMatchObject({ code: 'VKIT_CONNECTION', retryable: true, message })
      assertNoSecret(error, SECRET)
    }
  })

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['no headers', { status: 200, body: null }],
    ['a body that is a text', { status: 200, headers: new Headers(), body: SECRET }],
  ])('rejects with a typed error if fetch returns %s', async (_, response) => {
    const error = await failureOf(setUpFetch(async () => response as FetchResponse).exchange())
    expect(error).toMatchObject({ code: 'VKIT_CONNECTION', cause: { name: 'TypeError' } })
    assertNoSecret(error, SECRET)
  })
})

describe('the timeout and the deadline of an exchange with fetch', () => {
  it.each(['', ok(100), `${ok(100)}{`])(
    'reject with VKIT_TIMEOUT after timeoutMs, and close the connection, if the server sent only %j',
    async sent => {
      const clock = new FakeClock()
      const { server, exchange } = await setUpServer(clock)
      const requested = untilRequested(server, sent)
      const failure = failureOf(exchange())
      const socket = await requested
      await clock.advance(4_999)
      expect(socket.destroyed).toBe(false)
      await clock.advance(1)
      expect(await failure).toMatchObject({ code: 'VKIT_TIMEOUT', message: expect.stringContaining('within 5000 ms') })
      await untilClosed(socket)
      expect(clock.sleepers).toBe(0)
    },
  )

  it('leave no timer behind', async () => {
    const clock = new FakeClock()
    await setUpFetch(async () => json(TOKEN), clock).exchange()
    expect(clock.sleepers).toBe(0)
  })

  it('reject with the reason of the deadline, and close the connection', async () => {
    const { server, deadline, exchange } = await setUpServer()
    const requested = untilRequested(server, ok(100))
    const reason = reasonOf(exchange())
    const socket = await requested
    const cancelled = new Error('cancelled')
    deadline.cancel(cancelled)
    expect(await reason).toBe(cancelled)
    await untilClosed(socket)
  })

  it('reject with the reason of a deadline that ends while the global fetch is read', async () => {
    const { exchange, deadline } = setUp('https://gateway.example')
    const cancelled = new Error('cancelled')
    const fetch = jest.fn(() => new Promise<never>(() => undefined))
    replaceGlobal('fetch', undefined)
    Object.defineProperty(globalThis, 'fetch', { configurable: true, get: () => (deadline.cancel(cancelled), fetch) })
    expect(await reasonOf(exchange())).toBe(cancelled)
  })

  it('send nothing after the deadline', async () => {
    const { calls, fetch } = recordingFetch()
    const { deadline, exchange } = setUpFetch(fetch)
    const cancelled = new Error('cancelled')
    deadline.cancel(cancelled)
    expect(await reasonOf(exchange())).toBe(cancelled)
    expect(calls).toEqual([])
  })

  it('end an exchange whose fetch ignores its signal, and cancel a response that arrives later', async () => {
    let respond!: (response: FetchResponse) => void
    const fetch: Fetch = () => new Promise(resolve => (respond = resolve))
    const clock = new FakeClock()
    const failure = failureOf(setUpFetch(fetch, clock).exchange())
    await clock.advance(5_000)
    expect(await failure).toMatchObject({ code: 'VKIT_TIMEOUT' })
    await new Promise<void>(cancel => respond(new Response(new ReadableStream({ cancel }))))
  })

  it('reject although the runtime does not let this request end another', async () => {
    const clock = new FakeClock()
    const refuse = (): never => {
      throw new Error('Cannot perform I/O on behalf of a different request.')
    }
    const body = { getReader: () => ({ read: () => new Promise(() => undefined), cancel: refuse }) }
    const fetch: Fetch = async () => ({ status: 200, headers: new Headers(), body })
    const failure = failureOf(setUpFetch(fetch, clock).exchange())
    await clock.advance(5_000)
    expect(await failure).toMatchObject({ code: 'VKIT_TIMEOUT' })
  })
})
