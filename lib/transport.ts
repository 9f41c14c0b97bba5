import http from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import type { Got, Options, Request } from 'got'
import { callAfter, type Clock } from './clock.js'
import { VKitError, VKitResponseError, VKitTimeoutError } from './errors.js'
import type { Events } from './events.js'
import { readAnswer, type GatewayAnswer, type RawAnswer } from './gateway-answer.js'
import { networkError } from './network-error.js'

const MAX_BODY_BYTES = 64 * 1024
const MAX_HEADER_BYTES = 16 * 1024

const AGENT_OPTIONS: http.AgentOptions = {
  keepAlive: true,
  // More connections make many mints slower, not faster: 3,000 took 4.9 s without a bound, 2.0 s with this one.
  maxSockets: 50,
  scheduling: 'lifo',
}

/** Node agents of the caller's own: proxies, custom CAs. */
export interface Agents {
  readonly http?: http.Agent | undefined
  readonly https?: https.Agent | undefined
}

export interface TransportOptions {
  /** One exchange, from its dispatch on a connection to the last byte of the body. */
  readonly timeoutMs: number
  readonly agents: Agents
  readonly clock: Clock
  readonly events: Events
}

export interface ExchangeRequest {
  readonly url: URL
  readonly secret: string
  /** JSON text. */
  readonly body: string
  readonly signal: AbortSignal
  /** The request has a connection: what it waits for from now on is the gateway. */
  readonly onDispatch?: () => void
}

/** Exactly one HTTP exchange: bytes in, a validated JSON object or a typed error out. */
export class Transport {
  readonly #timeoutMs: number
  readonly #clock: Clock
  readonly #events: Events
  readonly #agents: { readonly http: http.Agent; readonly https: http.Agent }
  readonly #ownAgents: http.Agent[] = []
  #loading: Promise<GotParts> | undefined

  constructor({ timeoutMs, agents, clock, events }: TransportOptions) {
    this.#timeoutMs = timeoutMs
    this.#clock = clock
    this.#events = events
    this.#agents = {
      http: agents.http ?? this.#own(new http.Agent(AGENT_OPTIONS)),
      https: agents.https ?? this.#own(new https.Agent({ ...AGENT_OPTIONS, minVersion: 'TLSv1.2' })),
    }
  }

  /** @throws VKitError whatever goes wrong; `signal.reason` where `signal` aborts. */
  async exchange(request: ExchangeRequest): Promise<GatewayAnswer> {
    // Loaded at the first mint: `import` of the package takes 17 ms instead of 115.
    const got = await (this.#loading ??= loadGot())
    const raw = await this.#sendOnLivingSocket(got, request).catch((error: unknown) => {
      // Whatever else comes out of other people's code may hold what it knew.
      throw error instanceof VKitError || request.signal.aborted ? error : networkError(error)
    })
    return readAnswer(raw, request.secret, this.#clock.now())
  }

  async #sendOnLivingSocket(got: GotParts, request: ExchangeRequest): Promise<RawAnswer> {
    try {
      return await this.#send(got, request)
    } catch (error) {
      if (!(error instanceof DeadSocketError)) throw error
      // The server closed an idle connection just as it was reused: it has not seen the request. What else lies idle is
      // no younger.
      this.#dropIdleSockets(request.url)
      this.#events.emit({ type: 'resend' })
      return await this.#send(got, request)
    }
  }

  /** Ends the connections, but for those of agents that were given. */
  close(): void {
    for (const agent of this.#ownAgents) agent.destroy()
  }

  #send({ got, template, Options }: GotParts, request: ExchangeRequest): Promise<RawAnswer> {
    request.signal.throwIfAborted()
    return new Promise<RawAnswer>((resolve, reject) => {
      let stopTimer = (): void => undefined
      const abort = (): void => fail(request.signal.reason as Error)
      const settle = (): void => {
        stopTimer()
        request.signal.removeEventListener('abort', abort)
      }
      const fail = (error: Error): void => {
        settle()
        // Without an error: got would read the rest of the body first, however long.
        stream.destroy()
        reject(error)
      }
      const startTimer = (): void => {
        request.onDispatch?.()
        stopTimer = callAfter(this.#clock, this.#timeoutMs, () =>
          fail(new VKitTimeoutError(`No whole answer came within ${this.#timeoutMs} ms.`)),
        )
      }

      const options = new Options(undefined, undefined, template)
      options.url = request.url
      options.body = request.body
      options.request = (url, native) => {
        // The secret is added here, below got, whose errors and options print all that they know.
        const headers = { ...(native.headers as http.OutgoingHttpHeaders), authorization: `Bearer ${request.secret}` }
        return this.#openRequest(url, headers).on('socket', startTimer).on('upgrade', onUpgrade(fail))
      }
      const stream = got(undefined, undefined, options) as Request
      request.signal.addEventListener('abort', abort)
      readStream(stream, fail, answer => {
        settle()
        resolve(answer)
      })
    })
  }

  /** What of Node's own request differs from its defaults. Given here, so that got's dozens of options are not. */
  #openRequest(url: URL, headers: http.OutgoingHttpHeaders): http.ClientRequest {
    const options = { method: 'POST', headers, maxHeaderSize: MAX_HEADER_BYTES }
    // As text: Node takes no URL object for one where somebody has put `path` or `auth` on Object.prototype.
    const { href, protocol } = url
    const request =
      protocol === 'https:'
        ? // Said, because NODE_TLS_REJECT_UNAUTHORIZED=0 changes the default.
          https.request(href, { ...options, agent: this.#agents.https, rejectUnauthorized: true })
        : http.request(href, { ...options, agent: this.#agents.http })
    return request.on('socket', socket => {
      socket.removeListener('data', destroySocket)
      socket.unref() // See process-hold.ts.
    })
  }

  #own<A extends http.Agent>(agent: A): A {
    this.#ownAgents.push(agent)
    // An answer to no request would be taken for that of the next.
    agent.on('free', (socket: Socket) => {
      // A request that was given up in the queue is handed the socket and lets go of it, unheard: once must stay once.
      socket.removeListener('data', destroySocket).once('data', destroySocket)
    })
    return agent
  }

  #dropIdleSockets(url: URL): void {
    const agent = url.protocol === 'https:' ? this.#agents.https : this.#agents.http
    const defaultPort = url.protocol === 'https:' ? '443' : '80'
    const prefix = `${url.hostname.replace(/^\[|\]$/g, '')}:${url.port || defaultPort}:`
    for (const [name, sockets] of Object.entries(agent.freeSockets)) {
      if (name.startsWith(prefix)) for (const socket of sockets ?? []) socket.destroy()
    }
  }
}

interface GotParts {
  readonly got: Got
  readonly Options: typeof Options
  readonly template: Options
}

async function loadGot(): Promise<GotParts> {
  const { got, Options } = await import('got')
  // By setters, not by a bag of options: got walks a bag with `for in`, and fails on a polluted Object.prototype.
  const template = new Options()
  template.isStream = true
  template.method = 'POST'
  template.headers = {
    'content-type': 'application/json',
    accept: 'application/json',
    'accept-encoding': 'identity',
    'user-agent': undefined,
  }
  template.followRedirect = false
  template.throwHttpErrors = false
  template.decompress = false
  template.retry = { ...template.retry, limit: 0 }
  return { got, Options, template }
}

/** Collects the answer; whatever else happens on the stream goes to `fail`. */
function readStream(stream: Request, fail: (error: Error) => void, done: (answer: RawAnswer) => void): void {
  let request: http.ClientRequest | undefined
  let bytesReadBefore = 0
  let response: http.IncomingMessage | undefined
  const chunks: Buffer[] = []
  let length = 0

  stream.on('request', (opened: http.ClientRequest) => {
    request = opened
    request.once('socket', socket => (bytesReadBefore = socket.bytesRead))
  })
  stream.on('response', (received: http.IncomingMessage) => (response = received))
  stream.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length > MAX_BODY_BYTES) return fail(new VKitResponseError('The gateway answered with more than 64 KiB.'))
    chunks.push(chunk)
  })
  stream.on('end', () => {
    if (!response?.complete) return fail(networkError({ code: 'ECONNRESET' }))
    done({ status: response.statusCode ?? 0, headers: response.headers, bytes: Buffer.concat(chunks) })
  })
  stream.on('error', error => {
    const untouched = response === undefined && request?.socket?.bytesRead === bytesReadBefore
    fail(request?.reusedSocket && untouched ? new DeadSocketError(error) : networkError(error))
  })
}

/** A kept-alive connection that turned out to be closed before anything of an answer came. */
class DeadSocketError extends Error {
  readonly code: string | undefined
  constructor(cause: NodeJS.ErrnoException) {
    super('dead socket')
    this.code = cause.code
  }
}

function onUpgrade(fail: (error: Error) => void) {
  return (_: http.IncomingMessage, socket: Socket): void => {
    socket.destroy()
    fail(new VKitResponseError('The gateway answered 101, which nobody asked for.', { status: 101 }))
  }
}

function destroySocket(this: Socket): void {
  this.destroy()
}
