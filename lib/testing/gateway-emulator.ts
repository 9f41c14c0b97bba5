/// <reference lib="esnext.disposable" preserve="true" />
import { createHmac, randomUUID } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import {
  BOOLEAN_OR_IN_BODY,
  checkMembers,
  checkValue,
  FUNCTION,
  HEADERS,
  JSON_BODY,
  JSON_OBJECT,
  milliseconds,
  objectWith,
  TEXT,
  wholeNumber,
  type Checks,
} from './check-members.js'

/** How an emulator starts; all have a default. */
export interface GatewayEmulatorOptions {
  /** The one app secret it accepts. Default: a JWT of its own making, in `emulator.appSecret`. */
  readonly appSecret?: string
  /** How long the session tokens it mints are valid, in milliseconds. Default one hour. */
  readonly lifetimeMs?: number
  /** Default 0: any free port, and the same one again after `stop()` and `start()`. */
  readonly port?: number
  /** Default `127.0.0.1`. */
  readonly host?: string
  /** Speaks https with this key and certificate (PEM); the client trusts it by `agent: { https: new https.Agent({ ca }) }`. */
  readonly tls?: { readonly key: string; readonly cert: string }
  /** How many requests it remembers, the latest ones. Default: all. Give one to an emulator that runs for long. */
  readonly maxRequests?: number
  /** Told of each request before it is answered; may return the fault that it meets. */
  readonly onRequest?: (request: RecordedRequest) => GatewayFault | undefined
  /** Told of each request after it was answered. */
  readonly onAnswer?: (request: RecordedRequest) => void
  /** Where `expiresAt` and the `Date` header take the time from; give the `FakeClock` that the client has. */
  readonly clock?: { now(): number }
}

/** A request to `POST /v1/sessions` as the emulator saw it. */
export interface RecordedRequest {
  /** `POST`, unless somebody asks wrongly. */
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** As Node gives them, names in lower case; with the secret. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** The parsed JSON, or the text where it is none. */
  readonly body: unknown
  /** Epoch milliseconds, by the emulator's clock. */
  readonly receivedAt: number
  /** What was answered; 0 where nothing was. */
  status: number
}

/** What goes wrong with one answer. Members can be combined; `reset` and `silence` leave nothing else to be seen. */
export interface GatewayFault {
  /** Only requests for this identity meet it. */
  readonly identity?: string
  /** The answer's status instead of 200; from 400 on with the gateway's JSON error, if no `body` is given. */
  readonly status?: number
  /** Beside, or in place of, the usual ones. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** The whole body: text and bytes as they are, anything else as JSON. */
  readonly body?: unknown
  /** Members of an otherwise right answer, put in place of its own; `undefined` leaves one out. */
  readonly answer?: Readonly<Record<string, unknown>>
  /** Real milliseconds before the answer is sent. */
  readonly delayMs?: number
  /** The connection is reset: before an answer, or in the middle of its body. */
  readonly reset?: boolean | 'in-body'
  /** No answer ever comes, or it stops in the middle of its body. */
  readonly silence?: boolean | 'in-body'
}

const DEFAULT_LIFETIME_MS = 3_600_000
const MAX_REQUEST_BYTES = 1024 * 1024
/** Node's timers take no more than a signed 32-bit number of milliseconds. */
const LONGEST_MS = 2 ** 31 - 1
/** About 3,000 years: a longer lifetime would leave the calendar. */
const MAX_LIFETIME_MS = 1e14

const OPTION_CHECKS: Checks<GatewayEmulatorOptions> = {
  appSecret: TEXT,
  lifetimeMs: milliseconds(-MAX_LIFETIME_MS, MAX_LIFETIME_MS),
  port: wholeNumber(0, 65_535),
  host: TEXT,
  tls: objectWith('an object with key and cert, both PEM text', ['key', 'cert'], TEXT),
  maxRequests: wholeNumber(0, Infinity),
  onRequest: FUNCTION,
  onAnswer: FUNCTION,
  clock: objectWith('an object with now', ['now'], FUNCTION),
}
const FAULT_CHECKS: Checks<GatewayFault> = {
  identity: TEXT,
  status: wholeNumber(100, 999),
  headers: HEADERS,
  body: JSON_BODY,
  answer: JSON_OBJECT,
  delayMs: milliseconds(0, LONGEST_MS),
  reset: BOOLEAN_OR_IN_BODY,
  silence: BOOLEAN_OR_IN_BODY,
}
const TIMES = wholeNumber(1, Infinity)
const NO_FAULT: GatewayFault = checkFault('fault', {})

/** Faults that the next requests meet. */
interface ScriptedFault {
  readonly fault: GatewayFault
  left: number
}

/**
 * A stand-in for the Video.io gateway, for tests and for developing without an account: a real HTTP server on a loopback
 * port that checks the bearer and the body, and mints session tokens that are JWTs with the lifetime you choose.
 *
 * ```ts
 * await using emulator = await new GatewayEmulator().start()
 * const vkit = new VKitClient({ appSecret: emulator.appSecret, baseUrl: emulator.url })
 * emulator.failNext({ status: 503 })
 * ```
 *
 * The claims of its tokens are its own: which ones the real gateway's carry is not documented.
 *
 * Options and faults are checked as strictly as those of the client: an unknown one, or a value of the wrong type, throws a
 * `TypeError` that names it and never its value. Where `onRequest` returns such a fault, the response is 500 and says so.
 */
export class GatewayEmulator {
  /** Every request to `/v1/sessions` so far, or the last `maxRequests`, oldest first. */
  readonly requests: RecordedRequest[] = []
  readonly #options: GatewayEmulatorOptions
  readonly #clock: { now(): number }
  readonly #signingKey = randomUUID()
  readonly #faults: ScriptedFault[] = []
  #lifetimeMs: number
  #appSecret: string
  #outage: GatewayFault | undefined
  #mints = 0
  #server: http.Server | undefined
  #port: number

  /** Does not listen yet: `start()` does. @throws TypeError on an option that it does not know or take */
  constructor(options: GatewayEmulatorOptions = {}) {
    this.#options = checkMembers('GatewayEmulator', options, OPTION_CHECKS)
    const { clock = Date, port = 0, lifetimeMs = DEFAULT_LIFETIME_MS, appSecret } = this.#options
    this.#clock = clock
    this.#port = port
    this.#lifetimeMs = lifetimeMs
    this.#appSecret = appSecret ?? makeAppSecret(clock.now())
  }

  /** Lifetime of the tokens it mints from now on, in milliseconds; negative for tokens that have expired. */
  get lifetimeMs(): number {
    return this.#lifetimeMs
  }

  set lifetimeMs(ms: number) {
    checkValue('GatewayEmulator: lifetimeMs', ms, OPTION_CHECKS.lifetimeMs)
    this.#lifetimeMs = ms
  }

  /** The secret it accepts; set it to rotate. */
  get appSecret(): string {
    return this.#appSecret
  }

  set appSecret(secret: string) {
    checkValue('GatewayEmulator: appSecret', secret, OPTION_CHECKS.appSecret)
    this.#appSecret = secret
  }

  /** `http://127.0.0.1:<port>`, or `https://…` with `tls`, once started. */
  get url(): string {
    const address = this.#server?.address() as AddressInfo | null | undefined
    if (!address) throw new Error('The emulator is not running: await emulator.start() first.')
    const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
    return `${this.#options.tls ? 'https' : 'http'}://${host}:${address.port}`
  }

  /** How many tokens it has minted. */
  get mints(): number {
    return this.#mints
  }

  /** After `stop()`, listens on the same port again: that is an outage which a client can live through. */
  async start(): Promise<this> {
    if (this.#server) throw new Error('The emulator is running already.')
    const handle = (req: http.IncomingMessage, res: http.ServerResponse): void => void this.#handle(req, res)
    const { tls } = this.#options
    const server = tls ? https.createServer(tls, handle) : http.createServer(handle)
    // A client keeps connections for as long as it likes; no test should race the server's own idle limit.
    server.keepAliveTimeout = 0
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#port, this.#options.host ?? '127.0.0.1', resolve)
    })
    this.#server = server
    this.#port = (server.address() as AddressInfo).port
    return this
  }

  /** Ends every connection, answered or not; connections are refused until `start()`. */
  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (!server) return
    await new Promise<void>(resolve => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  }

  /** `stop()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /**
   * The next request meets `fault`; called again, or with `times`, so do those after it, in order.
   *
   * @throws TypeError on a fault with a member that it does not know or take, or where `times` is not a whole number
   */
  failNext(fault: GatewayFault, times = 1): void {
    checkValue('failNext: times', times, TIMES)
    this.#faults.push({ fault: checkFault('failNext: the fault', fault), left: times })
  }

  /**
   * Every request meets `fault`, until `recover()`. Scripted faults of `failNext` come first.
   *
   * @throws TypeError on a fault with a member that it does not know or take
   */
  fail(fault: GatewayFault): void {
    this.#outage = checkFault('fail: the fault', fault)
  }

  /** Forgets all faults. */
  recover(): void {
    this.#outage = undefined
    this.#faults.length = 0
  }

  async #handle(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    try {
      const path = (req.url ?? '/').split('?')[0] ?? '/'
      const body = await readBody(req)
      if (path !== '/v1/sessions') return this.#send(res, { ...refusal(404, 'No such resource.'), headers: undefined })
      const request: RecordedRequest = {
        method: req.method ?? '',
        path,
        headers: req.headers,
        body,
        receivedAt: this.#clock.now(),
        status: 0,
      }
      this.#remember(request)
      await this.#answer(request, res, this.#chooseFault(request))
      this.#options.onAnswer?.(request)
    } catch {
      // The client or stop() ended the connection.
      res.destroy()
    }
  }

  #remember(request: RecordedRequest): void {
    this.requests.push(request)
    if (this.requests.length > (this.#options.maxRequests ?? Infinity)) this.requests.shift()
  }

  #chooseFault(request: RecordedRequest): GatewayFault {
    const chosen = this.#options.onRequest?.(request) ?? undefined
    if (chosen === undefined) return this.#takeFault(request.body)
    try {
      return checkFault('onRequest: the fault', chosen)
    } catch (error) {
      // Nothing of the test calls this: the client's error is where the mistake can be read.
      return checkFault('fault', refusal(500, (error as Error).message))
    }
  }

  #takeFault(body: unknown): GatewayFault {
    const identity = (body as { identity?: unknown } | null)?.identity
    const concerns = (fault: GatewayFault): boolean => fault.identity === undefined || fault.identity === identity
    const index = this.#faults.findIndex(({ fault }) => concerns(fault))
    const scripted = this.#faults[index]
    if (scripted && --scripted.left === 0) this.#faults.splice(index, 1)
    if (scripted) return scripted.fault
    return this.#outage && concerns(this.#outage) ? this.#outage : NO_FAULT
  }

  async #answer(request: RecordedRequest, res: http.ServerResponse, fault: GatewayFault): Promise<void> {
    if (fault.delayMs !== undefined) await wait(fault.delayMs, undefined, { ref: false })
    // Ended meanwhile, by the client or by stop().
    if (res.destroyed) return
    if (fault.silence === true) return
    if (fault.reset === true) return void res.socket?.resetAndDestroy()

    const right = this.#rightAnswer(request)
    const status = fault.status ?? right.status
    const isMadeToFail = status >= 400 && right.status < 400
    const usual = isMadeToFail ? { error: `The emulator was told to respond with ${status}.` } : right.body
    const body = 'body' in fault ? fault.body : merge(usual, fault.answer)
    request.status = status
    if (status === 200) this.#mints++
    if (fault.reset === 'in-body' || fault.silence === 'in-body') {
      const sent = await sendHalf(res, status, encode(body))
      if (fault.reset) sent.resetAndDestroy()
      return
    }
    this.#send(res, { status, body, headers: fault.headers })
  }

  /** What the gateway answers when nothing is wrong with itself. */
  #rightAnswer(request: RecordedRequest): { status: number; body: object } {
    if (request.method !== 'POST') return refusal(404, 'Only POST mints a session.')
    if (request.headers['authorization'] !== `Bearer ${this.appSecret}`) return refusal(401, 'Invalid app token.')
    if (!isSessionRequest(request.body)) return refusal(400, 'identity must be a string, scopes an array of strings.')
    const { identity, scopes } = request.body
    return { status: 200, body: this.#mint(identity, scopes) }
  }

  #mint(identity: string, scopes: readonly string[]): object {
    const now = this.#clock.now()
    const expiresAt = now + this.lifetimeMs
    const claims = {
      identity,
      scopes,
      role: 'session',
      iss: 'video.io',
      iat: Math.floor(now / 1000),
      // Whole seconds, so not before the expiresAt that goes with it.
      exp: Math.ceil(expiresAt / 1000),
      jti: randomUUID(),
    }
    const sessionToken = makeJwt(claims, this.#signingKey)
    return { sessionToken, expiresAt: new Date(expiresAt).toISOString(), identity }
  }

  #send(res: http.ServerResponse, { status, body, headers = {} }: Answer): void {
    const bytes = encode(body)
    res.sendDate = false
    const all = {
      'content-type': 'application/json',
      'content-length': bytes.length,
      date: new Date(this.#clock.now()).toUTCString(),
      ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
    }
    res.writeHead(status, all as http.OutgoingHttpHeaders).end(status === 204 || status === 304 ? undefined : bytes)
  }
}

interface Answer {
  readonly status: number
  readonly body: unknown
  readonly headers: GatewayFault['headers']
}

function checkFault(what: string, fault: unknown): GatewayFault {
  return checkMembers(what, fault, FAULT_CHECKS)
}

/** The shape of a real one: HS256, `role: "app"`, no `exp`. What signs it nobody checks. */
function makeAppSecret(nowMs: number): string {
  const claims = { acid: randomUUID(), role: 'app', iat: Math.floor(nowMs / 1000), iss: 'video.io', jti: randomUUID() }
  return makeJwt(claims, randomUUID())
}

/** By Node alone: in Jest's jsdom jose does not know the keys that Node makes. */
function makeJwt(claims: object, key: string): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const content = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `${content}.${createHmac('sha256', key).update(content).digest('base64url')}`
}

function refusal(status: number, error: string): { status: number; body: object } {
  return { status, body: { error } }
}

function isSessionRequest(body: unknown): body is { identity: string; scopes: string[] } {
  if (typeof body !== 'object' || body === null) return false
  const { identity, scopes } = body as Record<string, unknown>
  const areScopes = Array.isArray(scopes) && scopes.every(scope => typeof scope === 'string')
  return typeof identity === 'string' && identity !== '' && areScopes
}

async function readBody(req: http.IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of req as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > MAX_REQUEST_BYTES) throw new Error('request too large')
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString()
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function merge(body: object, changes: Readonly<Record<string, unknown>> | undefined): object {
  return changes === undefined ? body : { ...body, ...changes }
}

function encode(body: unknown): Buffer {
  if (body instanceof Uint8Array) return Buffer.from(body)
  return Buffer.from(typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body))
}

/** The head of an answer and half of its body. */
function sendHalf(res: http.ServerResponse, status: number, bytes: Buffer): Promise<Socket> {
  const half = bytes.subarray(0, Math.ceil(bytes.length / 2))
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length })
  return new Promise((resolve, reject) => {
    res.write(half, error => {
      if (res.socket && !error) resolve(res.socket)
      else reject(error ?? new Error('The client has left.'))
    })
  })
}
