import { SAFE_HEADERS, TokenEndpoint, type TokenHandlerOptions, type TokenSource } from './token-endpoint.js'

declare global {
  // Express' types declare it so that others may add to it, as those of passport, express-session and cookie-parser do.
  // eslint-disable-next-line @typescript-eslint/no-namespace
  namespace Express {
    // eslint-disable-next-line @typescript-eslint/no-empty-object-type
    interface Request {}
  }
}

/**
 * What of Node's `IncomingMessage` is to be relied on, with whatever your middlewares have added to `Express.Request`.
 *
 * Any other type of request is had by naming it: `authenticate: (req: MyRequest) => …`.
 */
export interface NodeRequest extends Express.Request {
  /** In capitals, as HTTP has it. */
  readonly method?: string | undefined
  /** Path and query. */
  readonly url?: string | undefined
  /** Names in lower case. */
  readonly headers: {
    readonly authorization?: string | undefined
    readonly cookie?: string | undefined
    readonly [name: string]: string | readonly string[] | undefined
  }
}

/** What of Node's `ServerResponse` is used. */
export interface NodeResponse {
  /** Set before `end`. */
  statusCode: number
  /** Other code has begun to respond, or has responded. */
  readonly headersSent: boolean
  /** The client has hung up. */
  readonly destroyed: boolean
  /** One header of the answer. */
  setHeader(name: string, value: string): unknown
  /** Sends the answer. */
  end(text: string): unknown
  /** Tells of a client that hangs up. */
  once(event: 'close', listener: () => void): unknown
  /** The counterpart of `once`. */
  removeListener(event: 'close', listener: () => void): unknown
}

/** Answers a request; `next` is given what `authenticate` throws. Never rejects by itself. */
export type TokenHandler<Req> = (req: Req, res: NodeResponse, next?: (error?: unknown) => void) => Promise<void>

/**
 * A token endpoint for Express 4 and 5, Connect, plain `node:http` and whatever else has Node's request and response.
 *
 * ```ts
 * app.all('/token', createTokenHandler(vkit, { authenticate: req => req.user?.id }))
 * ```
 *
 * Answers `GET` and `POST` with `{ sessionToken, expiresAt, identity }`; other methods with 405, a caller who is not authenticated with 401,
 * trouble of the gateway with 503 and `Retry-After`, any other with 500. What `authenticate` throws goes to `next`, where
 * there is one. When the client hangs up nothing more is written. The promise never rejects by itself.
 *
 * @throws VKitConfigError on a bad option
 */
export function createTokenHandler<Req extends { readonly method?: string | undefined } = NodeRequest>(
  vkit: TokenSource,
  options: TokenHandlerOptions<Req>,
): TokenHandler<Req> {
  const endpoint = new TokenEndpoint(vkit, options)
  return async (req, res, next) => {
    // At once, for the app's error hook or a timeout of its own may answer instead.
    if (isOpen(res)) setHeaders(res, SAFE_HEADERS)
    const disconnect = watchForDisconnect(res)
    const { answer, failure } = await endpoint.answer(req, disconnect.signal)
    disconnect.stop()

    const raise = failure?.fromAuthenticate && isOpen(res) ? next : undefined
    if (failure) endpoint.report(failure.error, req, raise && ignore)
    if (raise) return raise(failure?.error)
    if (!answer || !isOpen(res)) return
    res.statusCode = answer.status
    setHeaders(res, answer.headers)
    res.end(answer.body)
  }
}

function watchForDisconnect(res: NodeResponse): { readonly signal: AbortSignal; readonly stop: () => void } {
  const controller = new AbortController()
  const abort = (): void => controller.abort()
  if (res.destroyed) abort()
  res.once('close', abort)
  return { signal: controller.signal, stop: () => res.removeListener('close', abort) }
}

function isOpen({ headersSent, destroyed }: NodeResponse): boolean {
  return !headersSent && !destroyed
}

function setHeaders(res: NodeResponse, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
}

function ignore(): void {
  // The app's own hook is about to hear of it.
}
