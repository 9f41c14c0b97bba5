import http from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import type { Got, Options, Request } from 'got'
import { callAfter, type Clock } from '../core/clock.js'
import type { Deadline } from '../core/deadline.js'
import { VKitConnectionError, VKitResponseError, VKitTimeoutError } from '../core/errors.js'
import type { Events } from '../core/events.js'
import { ownMembers } from '../core/own-properties.js'
import { sanitizeCause } from '../core/sanitize-cause.js'
import { Semaphore } from '../core/semaphore.js'
import { hostOf, portOf } from '../core/url-parts.js'
import { VERSION } from '../core/version.js'
import { VKitError } from '../core/vkit-error.js'
import { loadGot } from './load-got.js'
import { networkError, placeOf } from './response-errors.js'
import { readAnswer, type GatewayAnswer, type RawAnswer } from './response.js'
import { isCertificateRejected, SecureSockets } from './secure-socket.js'

const MAX_BODY_BYTES = 64 * 1024
const MAX_HEADER_BYTES = 16 * 1024
/** Firewalls refuse requests without one, and support reads the versions; it says nothing else of the machine. */
const USER_AGENT = `videokit-nodejs/${VERSION} node/${Number.parseInt(process.versions.node, 10)}`

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
  /** Where sessions are minted; a function, for the environment is read at the first call. */
  readonly endpoint: () => URL
  /** One exchange, from its dispatch on a connection to the last byte of the body. */
  readonly timeoutMs: number
  readonly agents: Agents
  readonly clock: Clock
  readonly events: Events
  /** Default: `loadGot`. */
  readonly loadGot?: typeof loadGot
}

export interface ExchangeRequest {
  readonly secret: string
  /** JSON text. */
  readonly body: string
  readonly deadline: Deadline
  /** The request has a connection: what it waits for from now on is the gateway. */
  readonly onDispatch?: () => void
}

/** Exactly one HTTP exchange: bytes in, a validated JSON object or a typed error out. */
export class Transport {
  readonly #options: TransportOptions
  readonly #loadGot: typeof loadGot
  #ownAgent: http.Agent | undefined
  #line: Promise<Line> | undefined

  constructor(options: TransportOptions) {
    this.#options = options
    // Of its own members only: the one option that is usually missing may stand on Object.prototype.
    this.#loadGot = ownMembers(options).loadGot ?? loadGot
  }

  /** @throws VKitError whatever goes wrong; `deadline.reason` where that comes first. */
  async exchange(request: ExchangeRequest): Promise<GatewayAnswer> {
    const { endpoint, clock } = this.#options
    const { deadline, secret } = request
    const url = endpoint()
    const place = (): string => placeOf(url, secret)
    const line = await (this.#line ??= this.#openLine(url))
    await line.turns.acquire(deadline)
    try {
      return readAnswer(await this.#sendOnLivingSocket(line, request), { secret, place, nowMs: clock.now() })
    } catch (error) {
      // Whatever else comes out of other people's code may hold what it knew.
      throw error instanceof VKitError || deadline.aborted ? error : networkError(error, place())
    } finally {
      line.turns.release()
    }
  }

  async #openLine(url: URL): Promise<Line> {
    try {
      const { got, Options } = await this.#loadGot().catch(throwLoadError)
      const { agents } = this.#options
      const isSecure = url.protocol === 'https:'
      const callersAgent = isSecure ? agents.https : undefined
      const agent = (isSecure ? agents.https : agents.http) ?? (this.#ownAgent ??= makeAgent(url))
      // Not the agent's own queue: a got request that waits there holds tens of KiB, and every collection of garbage copies it.
      const turns = new Semaphore(agent.maxSockets)
      return {
        url,
        agent,
        callersAgent,
        sockets: new SecureSockets(),
        turns,
        got,
        template: makeTemplate(Options, url),
      }
    } catch (error) {
      // Else the failure would be kept, and given to every later call.
      this.#line = undefined
      throw error
    }
  }

  async #sendOnLivingSocket(line: Line, request: ExchangeRequest): Promise<RawAnswer> {
    try {
      return await this.#send(line, request)
    } catch (error) {
      if (!(error instanceof DeadSocketError)) throw error
      // The server closed an idle connection just as it was reused: it has not seen the request. What else lies idle is
      // no younger.
      dropIdleSockets(line)
      this.#options.events.emit({ type: 'resend' })
      return await this.#send(line, request)
    }
  }

  /** Ends the connections, but for those of an agent that was given. */
  close(): void {
    this.#ownAgent?.destroy()
  }

  #send(line: Line, { secret, body, deadline, onDispatch }: ExchangeRequest): Promise<RawAnswer> {
    const { timeoutMs, clock } = this.#options
    const { url, got, template, sockets, callersAgent } = line
    const place = (): string => placeOf(url, secret)
    deadline.throwIfAborted()
    return new Promise<RawAnswer>((resolve, reject) => {
      let opened: http.ClientRequest | undefined
      let bytesReadBefore = 0
      let isAnswered = false
      let isSettled = false
      let stopTimer = (): void => undefined
      const settle = (): void => {
        isSettled = true
        stopTimer()
        stopWatching()
      }
      const fail = (error: Error): void => {
        if (isSettled) return
        settle()
        opened?.destroy()
        // Without an error: got would read the rest of the body first, however long.
        stream.destroy()
        reject(error)
      }
      const onSocket = (socket: Socket): void => {
        bytesReadBefore = socket.bytesRead
        onDispatch?.()
        stopTimer = callAfter(clock, timeoutMs, () =>
          fail(new VKitTimeoutError(`No complete response from ${place()} within ${timeoutMs} ms.`)),
        )
        const send = (): void => {
          if (!isSettled) opened?.setHeader('authorization', `Bearer ${secret}`).end(body)
        }
        if (url.protocol !== 'https:') return send()
        sockets.whenSecure(socket, { hostname: hostOf(url), place, callersAgent }, { send, refuse: fail })
      }
      const cutShort = (): Error => networkError({ code: 'ECONNRESET' }, place())
      const onError = (error: Error): void => {
        const isDead = !isAnswered && opened?.reusedSocket && opened.socket?.bytesRead === bytesReadBefore
        fail(isDead ? new DeadSocketError(error) : networkError(error, place(), isCertificateRejected(opened?.socket)))
      }

      const onResponse = (response: http.IncomingMessage): void => {
        isAnswered = true
        if ('aborted' in Object.prototype) dropInheritedListeners(response)
        // got will listen a moment from now, which is too late for an end that comes at once.
        response.once('close', () => {
          if (!response.complete) fail(cutShort())
        })
      }

      // One template for all: got copies it before it returns.
      template.request = () =>
        new Promise<http.IncomingMessage>(answer => {
          opened = openRequest(line, body)
            .on('socket', onSocket)
            .on('upgrade', onUpgrade(place, fail))
            .on('error', onError)
            .on('response', onResponse)
            .on('response', answer)
        })
      const stream = got(undefined, undefined, template) as Request
      const stopWatching = deadline.onAbort(() => fail(deadline.reason as Error))
      stream.on('error', onError)
      const done = (answer: RawAnswer): void => {
        settle()
        resolve(answer)
      }
      readStream(stream, done, { fail, cutShort, place })
      stream.end()
    })
  }
}

/** What all mints share: where they go to, and by what. */
interface Line {
  readonly url: URL
  readonly agent: http.Agent
  /** The same, where it speaks TLS and was given. */
  readonly callersAgent: https.Agent | undefined
  readonly sockets: SecureSockets
  /** As many as the agent has sockets. */
  readonly turns: Semaphore
  readonly got: Got
  readonly template: Options
}

function makeAgent({ protocol }: URL): http.Agent {
  const agent =
    protocol === 'https:' ? new https.Agent({ ...AGENT_OPTIONS, minVersion: 'TLSv1.2' }) : new http.Agent(AGENT_OPTIONS)
  // An answer to no request would be taken for that of the next.
  agent.on('free', (socket: Socket) => {
    // A request that was given up in the queue is handed the socket and lets go of it, unheard: once must stay once.
    socket.removeListener('data', destroySocket).once('data', destroySocket)
  })
  return agent
}

function makeTemplate(Options: new () => Options, url: URL): Options {
  // By setters, not by a bag of options: got walks a bag with `for in`, and fails on a polluted Object.prototype.
  const template = new Options()
  template.url = url
  template.isStream = true
  template.method = 'POST'
  template.headers = {}
  template.followRedirect = false
  template.throwHttpErrors = false
  template.decompress = false
  template.retry = { ...template.retry, limit: 0, methods: [], statusCodes: [], errorCodes: [] }
  // Unused. Left at its default, its four properties made got's own copy of it a tenth of a mint and a third of its garbage.
  template.cacheOptions = {}
  return template
}

/**
 * Node's own request; got is given its response. (docs/decisions/0042)
 *
 * The secret is added to it below got, whose errors and options print all that they know, and when it has a socket that
 * may carry it.
 */
function openRequest({ url, agent, callersAgent }: Line, body: string): http.ClientRequest {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json',
    'accept-encoding': 'identity',
    'content-length': Buffer.byteLength(body),
    'user-agent': USER_AGENT,
  }
  const options = { method: 'POST', headers, agent, maxHeaderSize: MAX_HEADER_BYTES }
  // As text: Node takes no URL object for one where somebody has put `path` or `auth` on Object.prototype.
  const { href, protocol } = url
  const request =
    protocol === 'https:'
      ? // Said, because NODE_TLS_REJECT_UNAUTHORIZED=0 changes the default.
        https.request(href, { ...options, rejectUnauthorized: true, ...(callersAgent && OWN_CONNECTIONS) })
      : http.request(href, options)
  request.on('socket', socket => {
    socket.removeListener('data', destroySocket)
    socket.unref() // See process-hold.ts.
  })
  return request
}

/**
 * Others may use the agent with weaker checks, and a resumed session shows no certificate that could be checked.
 *
 * A client has no use for a `sessionIdContext`, but agents share connections only between requests with the same one.
 */
const OWN_CONNECTIONS = { session: undefined, sessionIdContext: 'videokit-nodejs' }

/** Retryable: the trouble is the machine's, such as too many open files, and may be over at the next call. */
function throwLoadError(error: unknown): never {
  const cause = sanitizeCause(error)
  const code = cause?.code ?? cause?.name ?? 'no code'
  throw new VKitConnectionError(`The HTTP client (got) could not be loaded (${code}).`, { cause })
}

function dropIdleSockets({ url, agent }: Line): void {
  const prefix = `${hostOf(url)}:${portOf(url)}:`
  for (const [name, sockets] of Object.entries(agent.freeSockets)) {
    if (name.startsWith(prefix)) for (const socket of sockets ?? []) socket.destroy()
  }
}

interface Failures {
  readonly fail: (error: Error) => void
  readonly cutShort: () => Error
  readonly place: () => string
}

/** Collects the response. */
function readStream(stream: Request, done: (answer: RawAnswer) => void, { fail, cutShort, place }: Failures): void {
  let response: http.IncomingMessage | undefined
  const chunks: Buffer[] = []
  let length = 0

  stream.on('response', (received: http.IncomingMessage) => (response = received))
  stream.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length > MAX_BODY_BYTES) return fail(new VKitResponseError(`${place()} sent more than 64 KiB.`))
    chunks.push(chunk)
  })
  stream.on('end', () => {
    if (!response?.complete) return fail(cutShort())
    done({ status: response.statusCode ?? 0, headers: response.headers, bytes: Buffer.concat(chunks) })
  })
}

/** Node keeps a response's listeners by name in an object that inherits; got would add one to what it finds there. */
function dropInheritedListeners(response: http.IncomingMessage): void {
  const own = response.eventNames().map(name => [name, response.rawListeners(name)] as const)
  response.removeAllListeners()
  for (const [name, listeners] of own) for (const each of listeners) response.on(name, each as () => void)
}

/** A kept-alive connection that turned out to be closed before anything of an answer came. */
class DeadSocketError extends Error {
  readonly code: string | undefined
  constructor(cause: NodeJS.ErrnoException) {
    super('dead socket')
    this.code = cause.code
  }
}

function onUpgrade(place: () => string, fail: (error: Error) => void) {
  return (_: http.IncomingMessage, socket: Socket): void => {
    socket.destroy()
    fail(new VKitResponseError(`${place()} sent an unexpected 101 response.`, { status: 101 }))
  }
}

function destroySocket(this: Socket): void {
  this.destroy()
}
