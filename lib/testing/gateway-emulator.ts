import { randomUUID } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import { checkMembers, checkValue } from './check-members.js'
import { checkFault, FaultScript, type GatewayFault } from './emulator-fault.js'
import {
  authorityOf,
  encode,
  errorResponse,
  listen,
  merge,
  readBody,
  sendHalf,
  type EmulatorResponse,
} from './emulator-http.js'
import { makeAppSecret } from './emulator-jwt.js'
import {
  ANY_DURATION,
  DEFAULT_LIFETIME_MS,
  OPTION_CHECKS,
  type GatewayEmulatorOptions,
  type RecordedRequest,
} from './emulator-options.js'
import { normalResponse } from './emulator-session.js'

/** Not `Date` itself, which fake timers replace. */
const wallClock = { now: () => Date.now() }

/**
 * An emulator of the Video.io gateway, for tests and for development without an account. It is a real HTTP server on a
 * loopback port: it checks the bearer token and the body, and mints session tokens (JWTs) with the lifetime that you set.
 *
 * ```ts
 * await using emulator = await new GatewayEmulator().start()
 * const vkit = new VKitClient({ appSecret: emulator.appSecret, baseUrl: emulator.url })
 * emulator.failNext({ status: 503 })
 * ```
 *
 * The claims of its tokens are specific to the emulator. The claims of the real gateway's tokens are not documented.
 *
 * It checks options and faults as strictly as the client checks its options. An unknown name or a value of the wrong type
 * throws a `TypeError`, which contains the name and never the value. If `onRequest` returns an invalid fault, the response
 * is a 500 that contains that error.
 */
export class GatewayEmulator {
  /** All requests to `/v1/sessions` so far, or the latest `maxRequests`, oldest first. */
  readonly requests: RecordedRequest[] = []
  readonly #options: GatewayEmulatorOptions
  readonly #clock: { now(): number }
  readonly #signingKey = randomUUID()
  readonly #faults: FaultScript
  #lifetimeMs: number
  #clockOffsetMs = 0
  #appSecret: string
  #mints = 0
  #server: http.Server | undefined
  #port: number

  /** Does not listen before `start()`. @throws TypeError if an option is unknown, or its value is invalid */
  constructor(options: GatewayEmulatorOptions = {}) {
    this.#options = checkMembers('GatewayEmulator', options, OPTION_CHECKS)
    const { clock = wallClock, port = 0, lifetimeMs = DEFAULT_LIFETIME_MS, appSecret, random } = this.#options
    this.#faults = new FaultScript(random ?? Math.random)
    this.#clock = clock
    this.#port = port
    this.#lifetimeMs = lifetimeMs
    this.#appSecret = appSecret ?? makeAppSecret(clock.now())
  }

  /** Lifetime of the tokens it mints from now on, in milliseconds. A negative value mints expired tokens. */
  get lifetimeMs(): number {
    return this.#lifetimeMs
  }

  set lifetimeMs(ms: number) {
    checkValue('GatewayEmulator: lifetimeMs', ms, OPTION_CHECKS.lifetimeMs)
    this.#lifetimeMs = ms
  }

  /** How far its clock is ahead, in milliseconds: for `expiresAt` and the `Date` header. Negative: behind. Default: 0. */
  get clockOffsetMs(): number {
    return this.#clockOffsetMs
  }

  set clockOffsetMs(ms: number) {
    checkValue('GatewayEmulator: clockOffsetMs', ms, ANY_DURATION)
    this.#clockOffsetMs = ms
  }

  /** The secret that it accepts. Set it to rotate the secret. */
  get appSecret(): string {
    return this.#appSecret
  }

  set appSecret(secret: string) {
    checkValue('GatewayEmulator: appSecret', secret, OPTION_CHECKS.appSecret)
    this.#appSecret = secret
  }

  /** `http://127.0.0.1:<port>`, or `https://…` with `tls`. It throws an error if the emulator is not running. */
  get url(): string {
    const authority = authorityOf(this.#server)
    if (!authority) throw new Error('The emulator is not running: await emulator.start() first.')
    return `${this.#options.tls ? 'https' : 'http'}://${authority.host}:${authority.port}`
  }

  /** The number of tokens that it has minted. */
  get mints(): number {
    return this.#mints
  }

  /** Starts to listen. After `stop()` it uses the same port again, so you can simulate an outage and its end. */
  async start(): Promise<this> {
    if (this.#server) throw new Error('The emulator is already running.')
    const handle = (req: http.IncomingMessage, res: http.ServerResponse): void => void this.#handle(req, res)
    const { tls } = this.#options
    const server = tls ? https.createServer(tls, handle) : http.createServer(handle)
    // Without an idle limit of the server, a test cannot race against it.
    server.keepAliveTimeout = 0
    await listen(server, this.#port, this.#options.host ?? '127.0.0.1')
    this.#server = server
    this.#port = authorityOf(server)?.port ?? this.#port
    return this
  }

  /** Closes all connections, also those with a request in flight. It refuses new connections until `start()`. */
  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (!server) return
    await new Promise<void>(resolve => {
      server.close(() => resolve())
      // A handshake that ends later is not closed with the other connections.
      server.on('secureConnection', (socket: Socket) => socket.destroy())
      server.closeAllConnections()
    })
  }

  /** Calls `stop()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /**
   * Applies `fault` to the next request, or to the next `times` requests. Faults of several calls are used in order.
   *
   * @throws TypeError if a member of the fault is unknown or invalid, or `times` is not a whole number of at least 1
   */
  failNext(fault: GatewayFault, times = 1): void {
    this.#faults.addNext(fault, times)
  }

  /**
   * Applies these faults to every request until `recover()`, in place of those of the previous call. If several apply to a
   * request, they are combined, and the first one wins where they differ. Faults with `times` come before the others, one
   * by one, and faults of `failNext` before these.
   *
   * @throws TypeError if a member of a fault is unknown or invalid
   */
  fail(...faults: readonly GatewayFault[]): void {
    this.#faults.setForAll(faults)
  }

  /** The faults of `fail` that still apply, each with the rest of its `times`. */
  get faults(): readonly GatewayFault[] {
    return this.#faults.forAll
  }

  /** Removes all faults. */
  recover(): void {
    this.#faults.clear()
  }

  #now(): number {
    return this.#clock.now() + this.#clockOffsetMs
  }

  async #handle(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    try {
      const path = (req.url ?? '/').split('?')[0] ?? '/'
      const body = await readBody(req)
      if (path !== '/v1/sessions')
        return this.#send(res, { ...errorResponse(404, 'No such resource.'), headers: undefined })
      const request: RecordedRequest = {
        method: req.method ?? '',
        path,
        headers: req.headers,
        body,
        receivedAt: this.#now(),
        status: 0,
        response: undefined,
        durationMs: 0,
      }
      this.#storeRequest(request)
      const started = performance.now()
      try {
        await this.#respond(request, res, this.#chooseFault(request))
      } finally {
        request.durationMs = performance.now() - started
        this.#options.onAnswer?.(request)
      }
    } catch {
      // The client or stop() closed the connection.
      res.destroy()
    }
  }

  #storeRequest(request: RecordedRequest): void {
    this.requests.push(request)
    if (this.requests.length > (this.#options.maxRequests ?? Infinity)) this.requests.shift()
  }

  #chooseFault(request: RecordedRequest): GatewayFault {
    const chosen = this.#options.onRequest?.(request) ?? undefined
    if (chosen === undefined) return this.#faults.take(request.body)
    try {
      return checkFault('onRequest: the fault', chosen)
    } catch (error) {
      // The test does not call this code, so the client's error must show the mistake.
      return checkFault('fault', errorResponse(500, (error as Error).message))
    }
  }

  async #respond(request: RecordedRequest, res: http.ServerResponse, fault: GatewayFault): Promise<void> {
    if (fault.delayMs !== undefined) await wait(fault.delayMs, res)
    // The client or stop() may have closed the connection during the delay.
    if (res.destroyed) return
    if (fault.silence === true) return
    if (fault.reset === true) return void res.socket?.resetAndDestroy()

    const normal = normalResponse(request, {
      appSecret: this.appSecret,
      lifetimeMs: this.lifetimeMs,
      signingKey: this.#signingKey,
      nowMs: this.#now(),
    })
    const status = fault.status ?? normal.status
    const hasFaultStatus = status >= 400 && normal.status < 400
    const unchanged = hasFaultStatus
      ? { error: `The emulator responds with ${status} because of a fault.` }
      : normal.body
    const body = 'body' in fault ? fault.body : merge(unchanged, fault.answer)
    request.status = status
    request.response = body
    if (status === 200) this.#mints++
    if (fault.reset === 'in-body' || fault.silence === 'in-body') {
      const sent = await sendHalf(res, status, encode(body))
      if (fault.reset) sent.resetAndDestroy()
      return
    }
    this.#send(res, { status, body, headers: fault.headers })
  }

  #send(res: http.ServerResponse, { status, body, headers = {} }: EmulatorResponse): void {
    const bytes = encode(body)
    res.sendDate = false
    const all = {
      'content-type': 'application/json',
      'content-length': bytes.length,
      date: new Date(this.#now()).toUTCString(),
      ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
    }
    res.writeHead(status, all as http.OutgoingHttpHeaders).end(status === 204 || status === 304 ? undefined : bytes)
  }
}

/** Waits, but no longer than the client does. */
function wait(ms: number, res: http.ServerResponse): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(resolve, ms).unref()
    res.once('close', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
