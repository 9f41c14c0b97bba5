import { decodeJwt } from 'jose/jwt/decode'
import { EventEmitter } from 'node:events'
import type { RecordedRequest } from '../../testing/emulator-options.js'

/** A request as the page shows it: without its headers, which contain the secret, and without the token. */
export interface LoggedRequest {
  readonly id: number
  /** Epoch milliseconds, from the clock of this machine, even if the emulator's clock is wrong. */
  readonly receivedAt: number
  readonly identity?: string
  readonly scopes?: readonly string[]
  /** 1, or more for a retry: a request for the same identity and scopes soon after a failed one. */
  readonly attempt: number
  /** Missing until the response; 0 if the emulator sent no response. */
  readonly status?: number
  readonly durationMs?: number
  readonly token?: {
    readonly claims: object
    /** The time from the request to the expiry. */
    readonly lifetimeMs: number
  }
}

/** How many requests it keeps. The emulator may run for days. */
const MAX_REQUESTS = 500

/** A client that gave up does not ask again so soon. */
const RETRY_WITHIN_MS = 30_000

const MAX_LENGTH = 200
const MAX_SCOPES = 20

/** A fault can replace the token by one with huge or deeply nested claims. */
const MAX_CLAIMS_LENGTH = 2000

/** The latest requests to an emulator. It emits each request when it arrives, and again with its response. */
export class RequestLog extends EventEmitter<{ request: [LoggedRequest]; clear: [] }> {
  readonly #now: () => number
  readonly #requests = new Map<number, LoggedRequest>()
  readonly #ids = new WeakMap<RecordedRequest, number>()
  #lastId = 0

  constructor(now: () => number) {
    super()
    this.#now = now
  }

  /** The latest requests, oldest first. */
  get requests(): LoggedRequest[] {
    return [...this.#requests.values()]
  }

  ageOf({ receivedAt }: LoggedRequest): number {
    return this.#now() - receivedAt
  }

  /** For `onRequest` of the emulator. */
  add(request: RecordedRequest): undefined {
    const id = ++this.#lastId
    this.#ids.set(request, id)
    const asked = { id, receivedAt: this.#now(), ...askedFor(request.body) }
    this.#set({ ...asked, attempt: this.#attemptOf(asked) })
    const [oldest] = this.#requests.keys()
    if (oldest !== undefined && this.#requests.size > MAX_REQUESTS) this.#requests.delete(oldest)
  }

  /** For `onAnswer` of the emulator. */
  addResponse(request: RecordedRequest): void {
    const logged = this.#requests.get(this.#ids.get(request) ?? NaN)
    if (!logged) return // clear() has removed it.
    const { status, durationMs } = request
    const token = status === 200 ? decode(request, logged) : undefined
    this.#set({ ...logged, status, durationMs: Math.round(durationMs), ...(token && { token }) })
  }

  clear(): void {
    this.#requests.clear()
    this.emit('clear')
  }

  #set(request: LoggedRequest): void {
    this.#requests.set(request.id, request)
    this.emit('request', request)
  }

  #attemptOf({ receivedAt, identity, scopes }: Omit<LoggedRequest, 'attempt'>): number {
    const isSame = (other: LoggedRequest): boolean =>
      other.identity === identity && String(other.scopes) === String(scopes)
    const previous = this.requests.findLast(isSame)
    const isRetry = previous && hasFailed(previous) && receivedAt - previous.receivedAt < RETRY_WITHIN_MS
    return isRetry ? previous.attempt + 1 : 1
  }
}

/** Whether a client should retry the request. */
function hasFailed({ status }: LoggedRequest): boolean {
  return status !== undefined && (status === 0 || status === 429 || status >= 500)
}

/** Identities and scopes are untrusted text of any length. */
function askedFor(body: unknown): Pick<LoggedRequest, 'identity' | 'scopes'> {
  const { identity, scopes } = (body ?? {}) as Record<string, unknown>
  return {
    ...(typeof identity === 'string' && { identity: identity.slice(0, MAX_LENGTH) }),
    ...(Array.isArray(scopes) && {
      scopes: scopes.slice(0, MAX_SCOPES).map(each => (typeof each === 'string' ? each.slice(0, MAX_LENGTH) : '?')),
    }),
  }
}

function decode(
  { response, receivedAt }: RecordedRequest,
  { identity, scopes }: LoggedRequest,
): LoggedRequest['token'] {
  try {
    const { sessionToken, expiresAt } = response as { sessionToken: string; expiresAt: string }
    const claims = decodeJwt(sessionToken)
    const others = JSON.stringify({ ...claims, identity: undefined, scopes: undefined })
    if (others.length > MAX_CLAIMS_LENGTH) return undefined
    return { claims: { ...claims, identity, scopes }, lifetimeMs: Date.parse(expiresAt) - receivedAt }
  } catch {
    // A fault may have replaced the body.
    return undefined
  }
}
