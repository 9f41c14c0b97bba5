import type { Clock } from '../core/clock.js'
import { VKitConfigError } from '../core/errors.js'
import { ownProperties } from '../core/own-properties.js'
import { FetchExchange } from './fetch-exchange.js'
import { placeOf } from './response-errors.js'
import { parseResponse, type GatewayResponse } from './response.js'
import type { ClientTransport, ExchangeRequest, Fetch, FetchInit } from './transport.js'
import { userAgent } from './user-agent.js'

export interface FetchTransportOptions {
  /** The URL that mints sessions; a function, because the environment is read at the first call. */
  readonly endpoint: () => URL
  /** Default: the global `fetch`, as it is at each exchange. */
  readonly fetch: Fetch | undefined
  readonly clock: Clock
}

/** The transport for runtimes without sockets, which manage the connections themselves. */
export class FetchTransport implements ClientTransport {
  /** The platform has its own limit. */
  readonly maxConnections: number = Infinity
  readonly #options: FetchTransportOptions
  #cacheMode: Pick<FetchInit, 'cache'> | undefined

  constructor(options: FetchTransportOptions) {
    this.#options = options
  }

  async exchange(request: ExchangeRequest): Promise<GatewayResponse> {
    const { secret, identity, deadline } = request
    const { clock, endpoint } = this.#options
    deadline.throwIfAborted()
    const url = endpoint()
    const place = (): string => placeOf(url, secret)
    const fetch = this.#findFetch(request)
    const send = (signal: AbortSignal): ReturnType<Fetch> => fetch(url.href, this.#makeInit(url, request, signal))
    const raw = await new FetchExchange(send, request, { clock, place }).run()
    return parseResponse(raw, { secret, identity, place, nowMs: clock.now() })
  }

  /** Does nothing, because the runtime has `fetch` already. */
  load(): Promise<void> {
    return Promise.resolve()
  }

  /** Does nothing, because `fetch` cannot open a connection without a request. */
  preconnect(): Promise<void> {
    return Promise.resolve()
  }

  close(): void {
    // The runtime manages the connections.
  }

  /** Returns a function that is called without `this`, because Workers accept no other `this` than their own. */
  #findFetch({ onNotSent }: ExchangeRequest): Fetch {
    const fetch: unknown = this.#options.fetch ?? globalThis.fetch
    if (typeof fetch === 'function') return fetch as Fetch
    onNotSent?.()
    throw new VKitConfigError('This runtime has no fetch. Pass one as the option fetch.')
  }

  #makeInit(url: URL, { secret, body }: ExchangeRequest, signal: AbortSignal): FetchInit {
    this.#cacheMode ??= acceptsCacheMode(url) ? { cache: 'no-store' } : {}
    const headers = ownProperties<Record<string, string>>({
      'content-type': 'application/json',
      accept: 'application/json',
      'accept-encoding': 'identity',
      'user-agent': userAgent(runtimeName()),
      authorization: `Bearer ${secret}`,
    })
    // Without a prototype, because `fetch` also reads options that are not set.
    return ownProperties<FetchInit>({ method: 'POST', headers, body, redirect: 'manual', signal, ...this.#cacheMode })
  }
}

/**
 * Whether the runtime has the option `cache`: Workers throw at it before compatibility date 2024-11-11.
 *
 * Frameworks cache the responses of a `fetch` without it, even those to POST, and would return a token to the next user.
 */
function acceptsCacheMode(url: URL): boolean {
  try {
    new Request(url.href, ownProperties<object>({ cache: 'no-store' }))
    return true
  } catch {
    return !canMakeRequest(url)
  }
}

/** Otherwise, the failure says nothing about the option. */
function canMakeRequest(url: URL): boolean {
  try {
    new Request(url.href)
    return true
  } catch {
    return false
  }
}

/** The runtime's own name for itself, such as `Cloudflare-Workers`, if it is short and one word. */
function runtimeName(): string | undefined {
  const name: unknown = (globalThis as { readonly navigator?: { readonly userAgent?: unknown } }).navigator?.userAgent
  return typeof name === 'string' && /^[\w./-]{1,40}$/.test(name) ? name : undefined
}
