import type { TokenSource } from '../client.js'
import { SAFE_HEADERS, TokenEndpoint, type TokenHandlerOptions } from './token-endpoint.js'

/** The members of a `Request` that the handler uses. Your own object can pass more to `authenticate`. */
export interface FetchRequest {
  /** The HTTP method, in capitals. */
  readonly method: string
  /** Aborts when the client disconnects. */
  readonly signal?: AbortSignal | undefined
}

/** Responds to a request; never rejects. It accepts more arguments than `authenticate` does. */
export type FetchTokenHandler<Req, Rest extends readonly unknown[] = unknown[]> = (
  request: Req,
  ...rest: [...Rest, ...unknown[]]
) => Promise<Response>

/** The status that nginx logs for a client that disconnected; the client never receives it. */
const CLIENT_CLOSED_REQUEST = 499

/**
 * Creates a token endpoint for servers that use `Request` and `Response`: Hono, Next route handlers, Bun, Deno, workers.
 *
 * ```ts
 * export const GET = createFetchTokenHandler(vkit, { authenticate: async request => (await sessionOf(request))?.userId })
 * ```
 *
 * It responds to `GET` and `POST` with `{ sessionToken, expiresAt, identity }`, and to other methods with 405. The status is
 * 401 if the user is not authenticated, 503 with `Retry-After` for a gateway failure, and 500 for other errors. The handler
 * stops waiting when `request.signal` aborts. The promise never rejects.
 *
 * `authenticate` receives all arguments of the handler: in a worker `(request, env, ctx)`, in a Next route
 * `(request, context)`. If the platform passes a `waitUntil`, as workers do, it keeps the process alive for a refresh in the
 * background.
 *
 * @throws VKitConfigError if an option is invalid
 */
export function createFetchTokenHandler<
  Req extends FetchRequest = Request,
  Rest extends readonly unknown[] = unknown[],
>(vkit: TokenSource, options: TokenHandlerOptions<Req, Rest>): FetchTokenHandler<Req, Rest> {
  const endpoint = new TokenEndpoint(vkit, options)
  return async (request, ...rest) => {
    const { signal } = request
    const connection = {
      beforeWait: () => undefined,
      isClosed: () => signal?.aborted === true,
      makeSignal: () => signal,
    }
    // The arguments that `authenticate` does not declare are passed on too.
    const args = [request, ...rest] as readonly unknown[] as readonly [Req, ...Rest]
    const { response, failure } = await endpoint.respond(args, connection)
    if (failure) endpoint.report(failure.error, request)
    if (!response) return new Response(null, { status: CLIENT_CLOSED_REQUEST, headers: SAFE_HEADERS })
    const { status, headers, body } = response
    return new Response(request.method === 'HEAD' ? null : body, { status, headers })
  }
}
