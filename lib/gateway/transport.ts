import type { Deadline } from '../core/deadline.js'
import type { GatewayResponse } from './response.js'

export interface ExchangeRequest {
  readonly secret: string
  /** The identity in the body, which no request ID may show. */
  readonly identity: string
  /** JSON text. */
  readonly body: string
  readonly deadline: Deadline
  /** The timeout of the exchange, including the connection. */
  readonly timeoutMs: number
  /** Called when the request has a socket. From then on, it waits for the gateway. */
  readonly onDispatch?: (() => void) | undefined
  /** Called if the request fails unsent: the HTTP client did not load, or the caller's agent had no free connection. */
  readonly onNotSent?: (() => void) | undefined
}

/** Performs exactly one HTTP exchange. Returns a validated JSON object, or rejects with a typed error. */
export interface Transport {
  /** The largest number of exchanges in flight. */
  readonly maxConnections: number
  /** @throws VKitError on any failure; `deadline.reason` if the deadline ends first. */
  exchange(request: ExchangeRequest): Promise<GatewayResponse>
}

/** What opening a connection needs. The secret is not sent: it is only redacted from messages. */
export interface PreconnectRequest {
  readonly secret: string
  readonly deadline: Deadline
}

/** The transport of a client. */
export interface ClientTransport extends Transport {
  /** Loads the code that an exchange needs. @throws VKitError on any failure. */
  load(): Promise<void>
  /**
   * Opens a connection and leaves it for the next exchange, if connections are kept.
   *
   * @throws VKitError on any failure; `deadline.reason` if the deadline ends first.
   */
  preconnect(request: PreconnectRequest): Promise<void>
  /** Closes the client's own connections. */
  close(): void
}

/** What the client passes to `fetch`. */
export interface FetchInit {
  /** The HTTP method. */
  readonly method: 'POST'
  /** One of them contains the app secret. */
  readonly headers: Record<string, string>
  /** JSON text. */
  readonly body: string
  /** A followed redirect would take the app secret to another place. */
  readonly redirect: 'manual'
  /** Aborts at the end of the time limit. */
  readonly signal: AbortSignal
  /** Missing where the runtime does not know it. */
  readonly cache?: 'no-store'
}

/** The members of a `Response` that the client reads. */
export interface FetchResponse {
  /** The HTTP status. */
  readonly status: number
  /** True if `fetch` has followed a redirect on its own. */
  readonly redirected?: boolean
  /** The headers, with names in lower case. */
  readonly headers: { forEach(callback: (value: string, name: string) => void): void }
  /** A `ReadableStream` of bytes, or null. */
  readonly body: unknown
}

/** A function like the global `fetch`. */
export type Fetch = (url: string, init: FetchInit) => Promise<FetchResponse>
