/// <reference lib="esnext.disposable" preserve="true" />
import { randomUUID } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { checkMembers, checkValue } from './check-members.js'
import { checkFault, FaultScript, type GatewayFault } from './emulator-fault.js'
import { encode, merge, readBody, refusal, sendHalf, type Answer } from './emulator-http.js'
import { makeAppSecret } from './emulator-jwt.js'
import {
  DEFAULT_LIFETIME_MS,
  OPTION_CHECKS,
  type GatewayEmulatorOptions,
  type RecordedRequest,
} from './emulator-options.js'
import { respondRightly } from './emulator-session.js'

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
  readonly #faults = new FaultScript()
  #lifetimeMs: number
  #appSecret: string
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
    this.#faults.addNext(fault, times)
  }

  /**
   * Every request meets `fault`, until `recover()`. Scripted faults of `failNext` come first.
   *
   * @throws TypeError on a fault with a member that it does not know or take
   */
  fail(fault: GatewayFault): void {
    this.#faults.setForAll(fault)
  }

  /** Forgets all faults. */
  recover(): void {
    this.#faults.clear()
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
    if (chosen === undefined) return this.#faults.take(request.body)
    try {
      return checkFault('onRequest: the fault', chosen)
    } catch (error) {
      // Nothing of the test calls this: the client's error is where the mistake can be read.
      return checkFault('fault', refusal(500, (error as Error).message))
    }
  }

  async #answer(request: RecordedRequest, res: http.ServerResponse, fault: GatewayFault): Promise<void> {
    if (fault.delayMs !== undefined) await wait(fault.delayMs, undefined, { ref: false })
    // Ended meanwhile, by the client or by stop().
    if (res.destroyed) return
    if (fault.silence === true) return
    if (fault.reset === true) return void res.socket?.resetAndDestroy()

    const right = respondRightly(request, {
      appSecret: this.appSecret,
      lifetimeMs: this.lifetimeMs,
      signingKey: this.#signingKey,
      nowMs: this.#clock.now(),
    })
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
