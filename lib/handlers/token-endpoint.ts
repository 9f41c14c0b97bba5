import type { VKitClient } from '../client.js'
import { callListener } from '../core/call-listener.js'
import { VKitArgumentError, VKitConfigError } from '../core/errors.js'
import { inheritedProperty, ownProperties } from '../core/own-properties.js'
import { VKitError } from '../core/vkit-error.js'
import type { SessionToken } from '../token/session-token.js'
import type { Scope } from '../token/token-request.js'

/** What a handler needs of a `VKitClient`. */
export type TokenSource = Pick<VKitClient, 'getSessionToken'>

/** Who is asking: an identity, with scopes of its own or without; `null` or `undefined` if not authenticated. */
export type EndUser =
  { readonly identity: string; readonly scopes?: readonly Scope[] | undefined } | string | null | undefined

/** How a token endpoint knows its users, and what it grants them. */
export interface TokenHandlerOptions<Req> {
  /**
   * Your own authentication: says who is asking, from a session cookie, a bearer token, or what a middleware of yours
   * has left on the request. Not authenticated: 401. Never take the identity from anything that the client is free to choose.
   *
   * The same user must always get the same identity, a string.
   */
  readonly authenticate: (request: Req) => EndUser | Promise<EndUser>
  /** What every token allows, where `authenticate` names no scopes. Default: none. */
  readonly scopes?: readonly Scope[] | undefined
  /**
   * Called with each error that was answered with 500 or 503; the response itself holds only a code. Default:
   * `console.error`, unless the error went to `next`. What it throws is ignored.
   */
  readonly onError?: ((error: unknown, request: Req) => void) | undefined
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** JSON text. */
  readonly body: string
}

export interface Outcome {
  /** Missing where the client has hung up. */
  readonly answer?: Answer
  readonly failure?: {
    readonly error: unknown
    /** `authenticate` threw it: the app's own error hook may answer instead. */
    readonly fromAuthenticate: boolean
  }
}

/** On every answer: a token belongs to one user, and no cache on the way may keep it for the next. */
export const SAFE_HEADERS: Readonly<Record<string, string>> = Object.freeze({
  'cache-control': 'private, no-store',
  'x-content-type-options': 'nosniff',
})

const USER_MEMBERS: ReadonlySet<string> = new Set(['identity', 'scopes'])
const METHODS: readonly unknown[] = ['GET', 'POST']
const OPTION_NAMES: readonly string[] = [
  'authenticate',
  'scopes',
  'onError',
] satisfies (keyof TokenHandlerOptions<never>)[]
/** Where it is not known how long it takes: drawn anew each time, so that those who failed together do not return together. */
const LONGEST_RETRY_AFTER_S = 5

/** What all handlers have in common: a request and its user in, an answer out. Knows nothing of any server. */
export class TokenEndpoint<Req extends { readonly method?: string | undefined }> {
  readonly #vkit: TokenSource
  readonly #options: TokenHandlerOptions<Req>

  constructor(vkit: TokenSource, options: TokenHandlerOptions<Req>) {
    checkArguments(vkit, options)
    this.#vkit = vkit
    const { authenticate, scopes, onError } = ownProperties<TokenHandlerOptions<Req>>(options)
    this.#options = { authenticate, scopes: scopes && [...scopes], onError }
  }

  /** Never rejects. Once `signal` aborts no caller waits any longer; the token is still cached. */
  async answer(request: Req, signal: AbortSignal | undefined): Promise<Outcome> {
    if (!METHODS.includes(request.method)) {
      return { answer: refusal(405, 'METHOD_NOT_ALLOWED', { allow: METHODS.join(', ') }) }
    }
    let user: EndUser
    try {
      user = await this.#options.authenticate(request)
    } catch (error) {
      return { answer: refusal(500, 'INTERNAL'), failure: { error: asObject(error), fromAuthenticate: true } }
    }
    if (user === null || user === undefined) return { answer: refusal(401, 'UNAUTHENTICATED') }
    try {
      return { answer: success(await this.#getSessionToken(user, signal)) }
    } catch (error) {
      if (signal?.aborted && error === signal.reason) return {}
      return { answer: failure(error), failure: { error, fromAuthenticate: false } }
    }
  }

  /** Calls `onError`, or `fallback` where there is none. */
  report(error: unknown, request: Req, fallback: (error: unknown) => void = printError): void {
    const { onError = fallback } = this.#options
    callListener(() => onError(error, request))
  }

  async #getSessionToken(user: NonNullable<EndUser>, signal: AbortSignal | undefined): Promise<SessionToken> {
    const given = typeof user === 'object' ? user : { identity: user }
    const inherited = inheritedProperty(given, USER_MEMBERS)
    if (inherited !== undefined) {
      throw new VKitArgumentError(
        'authenticate must return own members: identity and scopes that are inherited are not read.',
      )
    }
    const { identity, scopes = this.#options.scopes } = ownProperties<{
      identity?: unknown
      scopes?: readonly Scope[] | undefined
    }>(given)
    // Whatever else `authenticate` may have given is refused there, in words that name what is wrong with it.
    return this.#vkit.getSessionToken(identity as string, { scopes, signal })
  }
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
    throw new VKitConfigError(`A token handler has no option "${unknown}". Known are: ${OPTION_NAMES.join(', ')}.`)
  }
  const { authenticate, scopes, onError } = ownProperties(options as Record<keyof TokenHandlerOptions<never>, unknown>)
  if (typeof authenticate !== 'function') {
    throw new VKitConfigError('A token handler needs authenticate, a function that says who is asking.')
  }
  if (scopes !== undefined && !(Array.isArray(scopes) && scopes.every(scope => typeof scope === 'string'))) {
    throw new VKitConfigError('scopes must be an array of strings.')
  }
  if (onError !== undefined && typeof onError !== 'function') throw new VKitConfigError('onError must be a function.')
}

/** Only members of the contract, each a string: iOS decodes them strictly. */
function success({ sessionToken, expiresAt, identity }: SessionToken): Answer {
  return { status: 200, headers: jsonHeaders(), body: JSON.stringify({ sessionToken, expiresAt, identity }) }
}

/** Never a word of what came from the gateway: a code, and when to try again. */
function failure(error: unknown): Answer {
  if (!VKitError.is(error)) return refusal(500, 'INTERNAL')
  // A client that is closed is one of a server on its way down: another one will answer.
  if (!error.retryable && error.code !== 'VKIT_CLOSED') return refusal(500, error.code)
  return refusal(503, error.code, { 'retry-after': String(retryAfterSeconds(error)) })
}

function retryAfterSeconds({ retryAfterMs }: VKitError): number {
  if (retryAfterMs === undefined) return 1 + Math.floor(Math.random() * LONGEST_RETRY_AFTER_S)
  return Math.max(1, Math.ceil(retryAfterMs / 1000))
}

function refusal(status: number, code: string, headers?: Readonly<Record<string, string>>): Answer {
  return { status, headers: jsonHeaders(headers), body: JSON.stringify({ error: { code } }) }
}

function jsonHeaders(more?: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return { ...SAFE_HEADERS, 'content-type': 'application/json', ...more }
}

/** Hooks take `next()` for no error and `next('route')` for a command. */
function asObject(error: unknown): object {
  if (typeof error === 'object' && error !== null) return error
  return new Error('authenticate threw something that is not an error.', { cause: error })
}

function printError(error: unknown): void {
  // eslint-disable-next-line no-console -- the answer says only a code; nowhere else would one find out.
  console.error(error)
}
