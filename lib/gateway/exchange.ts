import type http from 'node:http'
import type { Socket } from 'node:net'
import type { Request } from 'got'
import { callAfter, type Clock } from '../core/clock.js'
import { VKitResponseError, VKitTimeoutError } from '../core/errors.js'
import { hostOf } from '../core/url-parts.js'
import { hasQueue, openRequest, StaleSocketError, takeSocket, type Connection } from './connection.js'
import { networkError, placeOf } from './response-errors.js'
import { MAX_BODY_BYTES, type RawResponse } from './response.js'
import { isCertificateRejected } from './secure-socket.js'
import type { ExchangeRequest } from './transport.js'

/** One request and its response. */
export class Exchange {
  readonly #connection: Connection
  readonly #request: ExchangeRequest
  readonly #clock: Clock
  #opened: http.ClientRequest | undefined
  #stream!: Request
  #hasSocket = false
  #bytesReadBefore = 0
  #hasResponse = false
  readonly #chunks: Buffer[] = []
  #length = 0
  #isSettled = false
  #resolve!: (response: RawResponse) => void
  #reject!: (error: Error) => void
  #stopTimer!: () => void
  #stopWatching: () => void = () => undefined

  constructor(connection: Connection, request: ExchangeRequest, clock: Clock) {
    this.#connection = connection
    this.#request = request
    this.#clock = clock
  }

  /**
   * Sends the request and returns the response.
   *
   * Rejects with a StaleSocketError if the request may be sent once more.
   */
  run(): Promise<RawResponse> {
    return new Promise<RawResponse>((resolve, reject) => {
      this.#request.deadline.throwIfAborted()
      this.#resolve = resolve
      this.#reject = reject
      this.#start()
    })
  }

  #start(): void {
    const { got, template } = this.#connection
    const { deadline, timeoutMs } = this.#request
    // All requests share one template, because got copies it before it returns.
    template.request = (_, options) => this.#open(options)
    this.#stream = got(undefined, undefined, template) as Request
    if ('aborted' in Object.prototype) this.#stream.on('request', dropInheritedListeners)
    this.#stream
      .on('response', (response: http.IncomingMessage) => this.#onResponse(response))
      .on('data', (chunk: Buffer) => this.#onData(chunk))
      // got wraps all errors except those of a write.
      .on('error', (error: Error) => this.#onError(error.cause ?? error))
    this.#stopTimer = callAfter(this.#clock, timeoutMs, () => this.#abort(this.#timeoutError()))
    // Last, because a subscriber to got's diagnostics channels may have ended the deadline.
    this.#stopWatching = deadline.onAbort(() => this.#abort(deadline.reason as Error))
  }

  /** Opens the request; got sends headers and body when the body is written to its stream. */
  #open(options: http.RequestOptions): http.ClientRequest {
    return (this.#opened = openRequest(this.#connection, options, this.#request.body)
      .on('socket', socket => this.#onSocket(socket))
      .on('upgrade', (_, socket) => this.#onUpgrade(socket)))
  }

  #onSocket(socket: Socket): void {
    const { url, sockets, callersAgent } = this.#connection
    takeSocket(socket)
    this.#bytesReadBefore = socket.bytesRead
    this.#hasSocket = true
    this.#request.onDispatch?.()
    if (url.protocol !== 'https:') return this.#send()
    const options = { hostname: hostOf(url), place: () => this.#place(), callersAgent }
    sockets.whenSecure(socket, options, { send: () => this.#send(), refuse: error => this.#fail(error) })
  }

  #send(): void {
    const { secret, body } = this.#request
    if (this.#isSettled) return
    // The header is set below got, because got prints its own headers in errors and publishes them.
    this.#opened?.setHeader('authorization', `Bearer ${secret}`)
    this.#stream.end(body)
  }

  #onUpgrade(socket: Socket): void {
    socket.destroy()
    this.#fail(new VKitResponseError(`${this.#place()} sent an unexpected 101 response.`, { status: 101 }))
  }

  #onResponse(response: http.IncomingMessage): void {
    this.#hasResponse = true
    this.#stream.on('end', () => this.#onEnd(response))
  }

  #onData(chunk: Buffer): void {
    this.#length += chunk.length
    if (this.#length > MAX_BODY_BYTES) {
      return this.#fail(new VKitResponseError(`${this.#place()} sent more than 64 KiB.`))
    }
    this.#chunks.push(chunk)
  }

  #onEnd({ statusCode, headers }: http.IncomingMessage): void {
    this.#settle()
    this.#resolve({ status: statusCode ?? 0, headers, bytes: Buffer.concat(this.#chunks) })
  }

  #onError(cause: unknown): void {
    const request = this.#opened
    const isStale = !this.#hasResponse && request?.reusedSocket && request.socket?.bytesRead === this.#bytesReadBefore
    this.#fail(
      isStale
        ? new StaleSocketError(cause)
        : networkError(cause, this.#place(), isCertificateRejected(request?.socket)),
    )
  }

  #abort(error: Error): void {
    // The caller's other requests may use all connections of its agent.
    if (!this.#hasSocket && hasQueue(this.#connection.agent)) this.#request.onNotSent?.()
    this.#fail(error)
  }

  #fail(error: Error): void {
    if (this.#isSettled) return
    this.#settle()
    // Destroyed without an error, because with one got would first read the rest of the body.
    this.#stream.destroy()
    this.#reject(error)
  }

  #settle(): void {
    this.#isSettled = true
    this.#stopTimer()
    this.#stopWatching()
  }

  #timeoutError(): VKitTimeoutError {
    return new VKitTimeoutError(`No complete response from ${this.#place()} within ${this.#request.timeoutMs} ms.`)
  }

  #place(): string {
    return placeOf(this.#connection.url, this.#request.secret)
  }
}

/**
 * Drops response listeners that are inherited from Object.prototype.
 *
 * Node stores listeners by name in an object that inherits from it, and got would add its listener to an inherited one.
 */
function dropInheritedListeners(request: http.ClientRequest): void {
  request.prependListener('response', response => {
    const own = response.eventNames().map(name => [name, response.rawListeners(name)] as const)
    response.removeAllListeners()
    for (const [name, listeners] of own) for (const each of listeners) response.on(name, each as () => void)
  })
}
