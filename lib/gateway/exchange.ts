import type http from 'node:http'
import type { Socket } from 'node:net'
import type { Request } from 'got'
import { callAfter, type Clock } from '../core/clock.js'
import { VKitResponseError, VKitTimeoutError } from '../core/errors.js'
import { hostOf } from '../core/url-parts.js'
import { openRequest, StaleSocketError, type Connection } from './connection.js'
import { networkError, placeOf } from './response-errors.js'
import type { RawResponse } from './response.js'
import { isCertificateRejected } from './secure-socket.js'
import type { ExchangeRequest } from './transport.js'

const MAX_BODY_BYTES = 64 * 1024

export interface Timeout {
  readonly timeoutMs: number
  readonly clock: Clock
}

/** One request and its response. */
export class Exchange {
  readonly #connection: Connection
  readonly #request: ExchangeRequest
  readonly #timeout: Timeout
  #opened: http.ClientRequest | undefined
  #stream: Request | undefined
  #bytesReadBefore = 0
  #response: http.IncomingMessage | undefined
  readonly #chunks: Buffer[] = []
  #length = 0
  #isSettled = false
  #resolve!: (response: RawResponse) => void
  #reject!: (error: Error) => void
  #stopTimer: (() => void) | undefined
  #stopWatching: (() => void) | undefined

  constructor(connection: Connection, request: ExchangeRequest, timeout: Timeout) {
    this.#connection = connection
    this.#request = request
    this.#timeout = timeout
  }

  /** Rejects with a StaleSocketError where the request may be sent once more. */
  async run(): Promise<RawResponse> {
    this.#request.deadline.throwIfAborted()
    return await new Promise<RawResponse>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      this.#start()
    })
  }

  #start(): void {
    const { got, template } = this.#connection
    const { deadline } = this.#request
    // One template for all: got copies it before it returns.
    template.request = () => new Promise<http.IncomingMessage>(answer => this.#open(answer))
    const stream = (this.#stream = got(undefined, undefined, template) as Request)
    this.#stopWatching = deadline.onAbort(() => this.#fail(deadline.reason as Error))
    stream
      .on('error', error => this.#onError(error))
      .on('data', (chunk: Buffer) => this.#onData(chunk))
      .on('end', () => this.#onEnd())
      .end()
  }

  /** got is given Node's *response*, so that the secret stays below it. (docs/decisions/0042) */
  #open(answer: (response: http.IncomingMessage) => void): void {
    this.#opened = openRequest(this.#connection, this.#request.body)
      .on('socket', socket => this.#onSocket(socket))
      .on('upgrade', (_, socket) => this.#onUpgrade(socket))
      .on('error', error => this.#onError(error))
      .on('response', response => this.#onResponse(response))
      .on('response', answer)
  }

  #onSocket(socket: Socket): void {
    const { timeoutMs, clock } = this.#timeout
    const { url, sockets, callersAgent } = this.#connection
    this.#bytesReadBefore = socket.bytesRead
    this.#request.onDispatch?.()
    this.#stopTimer = callAfter(clock, timeoutMs, () =>
      this.#fail(new VKitTimeoutError(`No complete response from ${this.#place()} within ${timeoutMs} ms.`)),
    )
    if (url.protocol !== 'https:') return this.#send()
    const options = { hostname: hostOf(url), place: () => this.#place(), callersAgent }
    sockets.whenSecure(socket, options, { send: () => this.#send(), refuse: error => this.#fail(error) })
  }

  #send(): void {
    const { secret, body } = this.#request
    if (!this.#isSettled) this.#opened?.setHeader('authorization', `Bearer ${secret}`).end(body)
  }

  #onUpgrade(socket: Socket): void {
    socket.destroy()
    this.#fail(new VKitResponseError(`${this.#place()} sent an unexpected 101 response.`, { status: 101 }))
  }

  #onResponse(response: http.IncomingMessage): void {
    this.#response = response
    if ('aborted' in Object.prototype) dropInheritedListeners(response)
    // got starts to listen a moment later, and misses an end that comes at once.
    response.once('close', () => {
      if (!response.complete) this.#fail(this.#cutShort())
    })
  }

  #onData(chunk: Buffer): void {
    this.#length += chunk.length
    if (this.#length > MAX_BODY_BYTES) {
      return this.#fail(new VKitResponseError(`${this.#place()} sent more than 64 KiB.`))
    }
    this.#chunks.push(chunk)
  }

  #onEnd(): void {
    if (!this.#response?.complete) return this.#fail(this.#cutShort())
    const { statusCode, headers } = this.#response
    this.#settle()
    this.#resolve({ status: statusCode ?? 0, headers, bytes: Buffer.concat(this.#chunks) })
  }

  #onError(error: Error): void {
    const request = this.#opened
    const isStale = !this.#response && request?.reusedSocket && request.socket?.bytesRead === this.#bytesReadBefore
    this.#fail(
      isStale
        ? new StaleSocketError(error)
        : networkError(error, this.#place(), isCertificateRejected(request?.socket)),
    )
  }

  #fail(error: Error): void {
    if (this.#isSettled) return
    this.#settle()
    this.#opened?.destroy()
    // Without an error: got would read the rest of the body first, however long.
    this.#stream?.destroy()
    this.#reject(error)
  }

  #settle(): void {
    this.#isSettled = true
    this.#stopTimer?.()
    this.#stopWatching?.()
  }

  #cutShort(): Error {
    return networkError({ code: 'ECONNRESET' }, this.#place())
  }

  #place(): string {
    return placeOf(this.#connection.url, this.#request.secret)
  }
}

/** Node keeps a response's listeners by name in an object that inherits; got would add one to what it finds there. */
function dropInheritedListeners(response: http.IncomingMessage): void {
  const own = response.eventNames().map(name => [name, response.rawListeners(name)] as const)
  response.removeAllListeners()
  for (const [name, listeners] of own) for (const each of listeners) response.on(name, each as () => void)
}
