import { SAFE_HEADERS, TokenEndpoint, type TokenHandlerOptions, type TokenSource } from './token-endpoint.js'

/** What of a `Request` is used; give an object of your own to hand `authenticate` what your framework knows. */
export interface FetchRequest {
  /** In capitals, as HTTP has it. */
  readonly method: string
  /** Aborts when the client hangs up. */
  readonly signal?: AbortSignal | undefined
}

/** Answers a request; never rejects. */
export type FetchTokenHandler<Req> = (request: Req) => Promise<Response>

/** What nginx logs for a client that did not wait; it is never received. */
const CLIENT_CLOSED_REQUEST = 499

/**
 * A token endpoint for servers that speak `Request` and `Response`: Hono, Next route handlers, Bun, Deno, workers.
 *
 * ```ts
 * export const GET = createFetchTokenHandler(vkit, { authenticate: async request => (await sessionOf(request))?.userId })
 * ```
 *
 * Answers `GET` and `POST` with `{ sessionToken, expiresAt, identity }`; other methods with 405, a caller who is not authenticated with 401,
 * trouble of the gateway with 503 and `Retry-After`, any other with 500. It stops waiting when `request.signal` aborts.
 * The promise never rejects.
 *
 * @throws VKitConfigError on a bad option
 */
export function createFetchTokenHandler<Req extends FetchRequest = Request>(
  vkit: TokenSource,
  options: TokenHandlerOptions<Req>,
): FetchTokenHandler<Req> {
  const endpoint = new TokenEndpoint(vkit, options)
  return async request => {
    const { answer, failure } = await endpoint.answer(request, request.signal)
    if (failure) endpoint.report(failure.error, request)
    if (!answer) return new Response(null, { status: CLIENT_CLOSED_REQUEST, headers: SAFE_HEADERS })
    const { status, headers, body } = answer
    return new Response(request.method === 'HEAD' ? null : body, { status, headers })
  }
}
