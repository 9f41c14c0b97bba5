import type { TokenSource } from '../client.js'
import { callListener } from '../core/call-listener.js'
import { VKitArgumentError, VKitConfigError } from '../core/errors.js'
import { inheritedProperty, ownProperties } from '../core/own-properties.js'
import { PEEK } from '../core/peek.js'
import { VKitError } from '../core/vkit-error.js'
import { remainingSeconds } from '../token/expiry.js'
import type { SessionToken } from '../token/session-token.js'
import type { Scope } from '../token/token-request.js'
import { findWaitUntil } from './wait-until.js'

/** The authenticated user: an identity, optionally with its own scopes. `null` or `undefined` if not authenticated. */
export type EndUser =
  { readonly identity: string; readonly scopes?: readonly Scope[] | undefined } | string | null | undefined

/** How a token endpoint identifies its users, and which scopes it grants. */
export interface TokenHandlerOptions<Req, Rest extends readonly unknown[] = []> {
  /**
   * Your own authentication: returns the user of a request, from a session cookie, a bearer token, or what your middleware
   * added to the request. If it returns `null` or `undefined`, the response is a 401. Never use an identity that the client
   * can choose.
   *
   * The same user must always get the same identity, a string. The function also receives the other arguments of a fetch
   * handler, such as the `env` of a worker.
   */
  readonly authenticate: (request: Req, ...rest: Rest) => EndUser | Promise<EndUser>
  /** The scopes of each token, if `authenticate` returns no scopes. Default: none. */
  readonly scopes?: readonly Scope[] | undefined
  /**
   * Called with each error that causes a 500 or 503; the response contains only a code. Default: `console.error`, unless
   * the error goes to `next`. Errors that it throws are ignored.
   */
  readonly onError?: ((error: unknown, request: Req) => void) | undefined
  /**
   * Adds `expiresIn` to the response: the whole seconds, a number, until the token expires. Like `expires_in` of OAuth
   * (RFC 6749 section 5.1), it lets a device with a wrong clock know when to request a new token. It is missing if
   * `expiresAt` is not readable. Default: false, because some apps accept only strings.
   */
  readonly expiresIn?: boolean | undefined
  /**
   * Receives the work that may go on after the response: see `waitUntil` of a call. Pass the function of your platform, such
   * as that of `@vercel/functions`. Default, only in a fetch handler: the method `waitUntil` of its last argument that has
   * one, such as the `ctx` of a worker.
   */
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined
  /** The clock for `expiresIn`, for tests. Pass the `FakeClock` of the client. Default: the clock of the machine. */
  readonly clock?: { now(): number } | undefined
}

export interface EndpointResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** JSON text. */
  readonly body: string
}

export interface Outcome {
  /** Undefined if the client has disconnected. */
  readonly response?: EndpointResponse
  readonly failure?: {
    readonly error: unknown
    /** Whether `authenticate` threw it. The app's own error hook may then respond. */
    readonly fromAuthenticate: boolean
  }
}

/** Headers of every response. A token belongs to one user, so no shared cache may store it. */
export const SAFE_HEADERS: Readonly<Record<string, string>> = Object.freeze({
  'cache-control': 'private, no-store',
  'x-content-type-options': 'nosniff',
})
const JSON_HEADERS: typeof SAFE_HEADERS = Object.freeze({ ...SAFE_HEADERS, 'content-type': 'application/json' })

/** The client that waits for a response. */
export interface Connection {
  /** Called before the endpoint waits for something that can take long. */
  readonly beforeWait: () => void
  /** Whether the client has disconnected. */
  readonly isClosed: () => boolean
  /** Creates the signal that aborts when the client disconnects. */
  readonly makeSignal: () => AbortSignal | undefined
}

const USER_MEMBERS: ReadonlySet<string> = new Set(['identity', 'scopes'])
const METHODS: readonly unknown[] = ['GET', 'POST']
const OPTION_NAMES: readonly string[] = [
  'authenticate',
  'scopes',
  'onError',
  'expiresIn',
  'waitUntil',
  'clock',
] satisfies (keyof TokenHandlerOptions<never>)[]
/** The maximum of a random `Retry-After`, which spreads the retries of clients that failed at the same time. */
const LONGEST_RETRY_AFTER_S = 5

/** Looked up at each call, so that a test can replace and restore it at any time. */
const systemTime = { now: (): number => Date.now() }

/** The part that all handlers share: it authenticates a request and creates the response, for any kind of server. */
export class TokenEndpoint<
  Req extends { readonly method?: string | undefined },
  Rest extends readonly unknown[] = readonly [],
> {
  readonly #vkit: TokenSource
  readonly #options: TokenHandlerOptions<Req, Rest>

  constructor(vkit: TokenSource, options: TokenHandlerOptions<Req, Rest>) {
    checkArguments(vkit, options)
    this.#vkit = vkit
    const own = ownProperties<TokenHandlerOptions<Req, Rest>>(options)
    const { authenticate, scopes, onError, expiresIn, waitUntil, clock } = own
    this.#options = { authenticate, scopes: scopes && [...scopes], onError, expiresIn, waitUntil, clock }
  }

  /**
   * Responds to a request; never rejects. If the client disconnects, it stops waiting, but the token is still cached.
   *
   * `authenticate` receives all `args`.
   */
  async respond(args: readonly [Req, ...Rest], connection: Connection): Promise<Outcome> {
    if (!METHODS.includes(args[0].method)) {
      return { response: errorResponse(405, 'METHOD_NOT_ALLOWED', { allow: METHODS.join(', ') }) }
    }
    let user: EndUser
    try {
      const authenticated = this.#options.authenticate(...args)
      if (isThenable(authenticated)) connection.beforeWait()
      user = await authenticated
    } catch (error) {
      return { response: errorResponse(500, 'INTERNAL'), failure: { error: asObject(error), fromAuthenticate: true } }
    }
    if (user === null || user === undefined) return { response: errorResponse(401, 'UNAUTHENTICATED') }
    let signal: AbortSignal | undefined
    try {
      const { identity, scopes } = this.#resolveUser(user)
      const cached = connection.isClosed() ? undefined : this.#peek(identity, scopes)
      if (cached) return { response: this.#toResponse(cached) }
      connection.beforeWait()
      signal = connection.makeSignal()
      const { waitUntil = findWaitUntil(args) } = this.#options
      const callOptions = { scopes, signal, ...(waitUntil && { waitUntil }) }
      // getSessionToken checks the identity and the scopes, and its errors name the problem.
      return { response: this.#toResponse(await this.#vkit.getSessionToken(identity as string, callOptions)) }
    } catch (error) {
      if (signal?.aborted && error === signal.reason) return {}
      return { response: toErrorResponse(error), failure: { error, fromAuthenticate: false } }
    }
  }

  /** Calls `onError`, or `fallback` if that option is not set. */
  report(error: unknown, request: Req, fallback: (error: unknown) => void = printError): void {
    const { onError = fallback } = this.#options
    callListener(() => onError(error, request))
  }

  /** Contains only the documented members, each a string by default, because iOS decodes them strictly. */
  #toResponse(token: SessionToken): EndpointResponse {
    const { sessionToken, expiresAt, identity } = token
    const { clock = systemTime } = this.#options
    // JSON omits a member that is undefined.
    const expiresIn = this.#options.expiresIn ? remainingSeconds(token, clock.now()) : undefined
    const body = JSON.stringify({ sessionToken, expiresAt, identity, expiresIn })
    return { status: 200, headers: JSON_HEADERS, body }
  }

  #resolveUser(user: NonNullable<EndUser>): { identity: unknown; scopes?: readonly Scope[] | undefined } {
    if (typeof user !== 'object') return { identity: user, scopes: this.#options.scopes }
    const inherited = inheritedProperty(user, USER_MEMBERS)
    if (inherited !== undefined) {
      throw new VKitArgumentError(
        'authenticate must return an object with own properties: inherited identity and scopes are not read.',
      )
    }
    const { identity, scopes = this.#options.scopes } = ownProperties<Partial<Exclude<typeof user, string>>>(user)
    return { identity, scopes }
  }

  /** Returns the cached token, if the call need not wait and the method is that of our client. */
  #peek(identity: unknown, scopes: unknown): SessionToken | undefined {
    const { getSessionToken } = this.#vkit as { readonly getSessionToken: Peekable }
    return getSessionToken[PEEK]?.(this.#vkit, identity, scopes)
  }
}

interface Peekable {
  readonly [PEEK]?: (client: object, identity: unknown, scopes: unknown) => SessionToken | undefined
}

function isThenable(value: EndUser | Promise<EndUser>): boolean {
  return typeof (value as Partial<Promise<EndUser>> | null | undefined)?.then === 'function'
}

function checkArguments(vkit: unknown, options: unknown): void {
  if (typeof vkit !== 'object' || vkit === null || !('getSessionToken' in vkit)) {
    throw new VKitConfigError('The first argument of a token handler must be a VKitClient.')
  }
  if (typeof options !== 'object' || options === null) {
    throw new VKitConfigError('The second argument of a token handler must be an object with authenticate.')
  }
  const unknown = Object.keys(options).find(name => !OPTION_NAMES.includes(name))
  if (unknown !== undefined) {
    throw new VKitConfigError(`A token handler has no option "${unknown}". Known options: ${OPTION_NAMES.join(', ')}.`)
  }
  const own = ownProperties(options as Record<keyof TokenHandlerOptions<never>, unknown>)
  const { authenticate, scopes, onError, expiresIn, waitUntil, clock } = own
  if (typeof authenticate !== 'function') {
    throw new VKitConfigError('A token handler needs authenticate, a function that returns the user of a request.')
  }
  if (scopes !== undefined && !(Array.isArray(scopes) && scopes.every(scope => typeof scope === 'string'))) {
    throw new VKitConfigError('scopes must be an array of strings.')
  }
  if (onError !== undefined && typeof onError !== 'function') throw new VKitConfigError('onError must be a function.')
  if (expiresIn !== undefined && typeof expiresIn !== 'boolean') {
    throw new VKitConfigError('expiresIn must be true or false: the gateway determines how long a token is valid.')
  }
  if (waitUntil !== undefined && typeof waitUntil !== 'function') {
    throw new VKitConfigError('waitUntil must be a function.')
  }
  if (clock !== undefined && typeof (clock as TokenHandlerOptions<never>['clock'] | null)?.now !== 'function') {
    throw new VKitConfigError('clock must have the method now.')
  }
}

/** Contains only a code and `Retry-After`, never text from the gateway. */
function toErrorResponse(error: unknown): EndpointResponse {
  if (!VKitError.is(error)) return errorResponse(500, 'INTERNAL')
  // A closed client means that this server is shutting down, so a retry reaches another one.
  if (!error.retryable && error.code !== 'VKIT_CLOSED') return errorResponse(500, error.code)
  return errorResponse(503, error.code, { 'retry-after': String(retryAfterSeconds(error)) })
}

function retryAfterSeconds({ retryAfterMs }: VKitError): number {
  if (retryAfterMs === undefined) return 1 + Math.floor(Math.random() * LONGEST_RETRY_AFTER_S)
  return Math.max(1, Math.ceil(retryAfterMs / 1000))
}

function errorResponse(status: number, code: string, headers?: Readonly<Record<string, string>>): EndpointResponse {
  return { status, headers: { ...JSON_HEADERS, ...headers }, body: JSON.stringify({ error: { code } }) }
}

/** Converts a thrown value to an object: `next()` means no error, and `next('route')` is a command. */
function asObject(error: unknown): object {
  if (typeof error === 'object' && error !== null) return error
  return new Error('authenticate threw something that is not an error.', { cause: error })
}

function printError(error: unknown): void {
  // eslint-disable-next-line no-console -- the response contains only a code, so the error must appear in the log.
  console.error(error)
}
