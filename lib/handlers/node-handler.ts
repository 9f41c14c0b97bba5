import type { TokenSource } from '../client.js'
import { SAFE_HEADERS, TokenEndpoint, type Connection, type TokenHandlerOptions } from './token-endpoint.js'

declare global {
  // The types of Express, passport and others also declare this namespace, and add members to it.
  // eslint-disable-next-line @typescript-eslint/no-namespace
  namespace Express {
    // eslint-disable-next-line @typescript-eslint/no-empty-object-type
    interface Request {}
  }
}

/**
 * The reliable members of Node's `IncomingMessage`, and those that your middlewares add to `Express.Request`.
 *
 * To use another type of request, name it: `authenticate: (req: MyRequest) => …`.
 */
export interface NodeRequest extends Express.Request {
  /** The HTTP method, in capitals. */
  readonly method?: string | undefined
  /** The path and query. */
  readonly url?: string | undefined
  /** The headers, with names in lower case. */
  readonly headers: {
    readonly authorization?: string | undefined
    readonly cookie?: string | undefined
    readonly [name: string]: string | readonly string[] | undefined
  }
}

/** The members of Node's `ServerResponse` that the handler uses. */
export interface NodeResponse {
  /** The status; the handler sets it before `end`. */
  statusCode: number
  /** Whether a response has started. */
  readonly headersSent: boolean
  /** Whether the client has disconnected. */
  readonly destroyed: boolean
  /** Sets a response header. */
  setHeader(name: string, value: string): unknown
  /** Sends the response. */
  end(text: string): unknown
  /** Adds a listener for a client that disconnects. */
  once(event: 'close', listener: () => void): unknown
  /** Removes the listener. */
  removeListener(event: 'close', listener: () => void): unknown
}

/** Responds to a request, and passes errors of `authenticate` to `next`. The handler itself never rejects. */
export type TokenHandler<Req> = (req: Req, res: NodeResponse, next?: (error?: unknown) => void) => Promise<void>

/**
 * Creates a token endpoint for Express 4 and 5, Connect, `node:http`, and other servers with Node's request and response.
 *
 * ```ts
 * app.all('/token', createTokenHandler(vkit, { authenticate: req => req.user?.id }))
 * ```
 *
 * It responds to `GET` and `POST` with `{ sessionToken, expiresAt, identity }`, and to other methods with 405. The status is
 * 401 if the user is not authenticated, 503 with `Retry-After` for a gateway failure, and 500 for other errors. If the
 * server passes `next`, errors of `authenticate` go to `next`. If the client disconnects, the handler writes nothing more.
 * The handler itself never rejects.
 *
 * @throws VKitConfigError if an option is invalid
 */
export function createTokenHandler<Req extends { readonly method?: string | undefined } = NodeRequest>(
  vkit: TokenSource,
  options: TokenHandlerOptions<Req>,
): TokenHandler<Req> {
  const endpoint = new TokenEndpoint(vkit, options)
  return async (req, res, next) => {
    const connection = new NodeConnection(res)
    const { response, failure } = await endpoint.respond([req], connection)
    connection.stop()

    const raise = failure?.fromAuthenticate && connection.isOpen() ? next : undefined
    if (failure) endpoint.report(failure.error, req, raise && ignore)
    if (!response || !connection.isOpen()) return
    if (failure && raise) {
      setHeaders(res, SAFE_HEADERS)
      return raise(failure.error)
    }
    res.statusCode = response.status
    setHeaders(res, response.headers)
    res.end(response.body)
  }
}

/** Listens for a disconnect and creates a signal only if the endpoint has to wait. */
class NodeConnection implements Connection {
  readonly #res: NodeResponse
  #controller: AbortController | undefined
  #isWaiting = false
  #hasClosed = false

  constructor(res: NodeResponse) {
    this.#res = res
  }

  beforeWait(): void {
    if (this.#isWaiting) return
    this.#isWaiting = true
    // Set these first, because the app's error hook or timeout may respond instead.
    if (this.isOpen()) setHeaders(this.#res, SAFE_HEADERS)
    this.#res.once('close', this.#close)
  }

  isClosed(): boolean {
    // A response of HTTP/2 has no `destroyed`.
    return this.#hasClosed || this.#res.destroyed
  }

  /** Whether a response can be written. */
  isOpen(): boolean {
    return !this.#res.headersSent && !this.isClosed()
  }

  makeSignal(): AbortSignal {
    this.#controller = new AbortController()
    if (this.isClosed()) this.#controller.abort()
    return this.#controller.signal
  }

  stop(): void {
    this.#res.removeListener('close', this.#close)
  }

  readonly #close = (): void => {
    this.#hasClosed = true
    this.#controller?.abort()
  }
}

function setHeaders(res: NodeResponse, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
}

function ignore(): void {
  // The app's error hook reports the error.
}
