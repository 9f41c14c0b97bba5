import type http from 'node:http'
import type { Socket } from 'node:net'
import type { Request } from 'got'
import { callAfter, type Clock } from '../core/clock.js'
import { VKitTimeoutError } from '../core/errors.js'
import { ownProperties } from '../core/own-properties.js'
import { hostOf } from '../core/url-parts.js'
import { openRequest, takeSocket, type Connection } from './connection.js'
import { networkError, placeOf } from './response-errors.js'
import { isCertificateRejected } from './secure-socket.js'
import type { PreconnectRequest } from './transport.js'

/** The time limit of opening it. */
interface Timeout {
  readonly timeoutMs: number
  readonly clock: Clock
}

/**
 * Opens a connection as a mint would, sends nothing, and leaves the connection to the agent for the next mint.
 *
 * Node has no documented way to do this. A request that is never sent gets its socket from the agent, and the socket
 * emits `free`, as after a response. If the agent does not keep such a socket, it closes it.
 */
export class IdleConnection {
  readonly #connection: Connection
  readonly #request: PreconnectRequest
  readonly #timeout: Timeout
  #stream!: Request
  #socket: Socket | undefined
  /** Whether the socket came from the agent and Node's request does not use it. */
  #isDetached = false
  #resolve!: () => void
  #reject!: (error: Error) => void
  #stopTimer!: () => void
  #stopWatching: () => void = () => undefined

  constructor(connection: Connection, request: PreconnectRequest, timeout: Timeout) {
    this.#connection = connection
    this.#request = request
    this.#timeout = timeout
  }

  /** @throws VKitError if the connection fails or is not secure; `deadline.reason` if the deadline ends first. */
  async open(): Promise<void> {
    this.#request.deadline.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      this.#start()
    })
  }

  /** Uses got too, because only the same options get the same connections from an agent. */
  #start(): void {
    const { got, template } = this.#connection
    const { deadline } = this.#request
    const { timeoutMs, clock } = this.#timeout
    template.request = (_, options) => this.#openRequest(options)
    this.#stream = (got(undefined, undefined, template) as Request).on('error', ({ cause }) => this.#onError(cause))
    const timeout = `No connection to ${this.#place()} within ${timeoutMs} ms.`
    this.#stopTimer = callAfter(clock, timeoutMs, () => this.#fail(new VKitTimeoutError(timeout)))
    // Last, because a subscriber to got's diagnostics channels may have ended the deadline.
    this.#stopWatching = deadline.onAbort(() => this.#fail(deadline.reason as Error))
  }

  #openRequest(options: http.RequestOptions): http.ClientRequest {
    const agent = detaching(this.#connection.agent, () => (this.#isDetached = true))
    return openRequest(this.#connection, Object.assign(options, { agent }), '').on('socket', socket =>
      this.#onSocket(socket),
    )
  }

  #onSocket(socket: Socket): void {
    const { url, sockets, callersAgent } = this.#connection
    this.#socket = socket.on('error', this.#onError).once('close', this.#onClose)
    // The deadline may have ended since the agent opened it.
    if (this.#stream.destroyed) return void socket.destroy()
    takeSocket(socket)
    if (url.protocol === 'https:') {
      const options = { hostname: hostOf(url), place: () => this.#place(), callersAgent }
      sockets.whenSecure(socket, options, { send: () => this.#leave(socket), refuse: error => this.#fail(error) })
    } else if (socket.connecting) socket.once('connect', () => this.#leave(socket))
    // Otherwise, it failed at once, such as without a free port, and will emit the error.
    else if (!socket.destroyed) this.#leave(socket)
  }

  /** Leaves the socket to the agent. The sockets of test tools, which replace the agent, are closed. */
  #leave(socket: Socket): void {
    this.#settle()
    if (this.#isDetached && socket.listenerCount('free') === 0) {
      // This agent takes no sockets back: without an owner, a later error of the socket would end the process.
      socket.destroy()
    } else if (this.#isDetached) {
      socket.off('error', this.#onError).off('close', this.#onClose)
      // As after a response: the agent reads `_httpMessage`, and notices a server that closes the connection.
      Object.assign(socket.resume(), { _httpMessage: KEPT_ALIVE }).emit('free')
    }
    this.#stream.destroy()
    this.#resolve()
  }

  readonly #onError = (cause: unknown): void => {
    this.#fail(networkError(cause, this.#place(), isCertificateRejected(this.#socket)))
  }

  readonly #onClose = (): void => {
    this.#onError({ code: 'ECONNRESET' })
  }

  #fail(error: Error): void {
    this.#settle()
    // Its listener stays, because an error of a closing socket without a listener would end the process.
    this.#socket?.destroy()
    this.#stream.destroy()
    this.#reject(error)
  }

  #settle(): void {
    this.#stopTimer()
    this.#stopWatching()
  }

  #place(): string {
    return placeOf(this.#connection.url, this.#request.secret)
  }
}

/** The part of a request that an agent reads when the request's socket becomes free. */
const KEPT_ALIVE = Object.freeze({ shouldKeepAlive: true })

interface AgentWithRequests extends http.Agent {
  addRequest(request: http.ClientRequest, ...options: unknown[]): void
}
type OnSocket = (socket: Socket, error?: Error) => void

/**
 * The same agent, for a request that only emits `socket`: Node attaches no parser to the socket.
 *
 * Calls `onDetached` before that. Node still handles sockets that cannot be written to, and errors.
 */
function detaching(agent: http.Agent, onDetached: () => void): http.Agent {
  const addRequest: AgentWithRequests['addRequest'] = (request, ...options) => {
    const attach: OnSocket = request.onSocket.bind(request)
    request.onSocket = (socket: Socket, error?: Error) => {
      if (error || request.destroyed || !socket.writable) return attach(socket, error)
      onDetached()
      // As with nextTick, which Jest's fake timers replace, no event of the socket comes first.
      void Promise.resolve().then(() => request.emit('socket', socket))
    }
    ;(agent as AgentWithRequests).addRequest(request, ...options)
  }
  // A getter of the agent may need the agent itself as `this`.
  const get = (target: http.Agent, name: string | symbol): unknown =>
    name === 'addRequest' ? addRequest : Reflect.get(target, name)
  return new Proxy(agent, ownProperties({ get }))
}
