import type { Deadline } from '../core/deadline.js'
import type { GatewayResponse } from './response.js'

export interface ExchangeRequest {
  readonly secret: string
  /** JSON text. */
  readonly body: string
  readonly deadline: Deadline
  /** Called when the request has a socket: from now on it waits for the gateway. */
  readonly onDispatch?: (() => void) | undefined
  /** Called when it fails and could not be sent: the HTTP client did not load, or the caller's own agent had no connection free. */
  readonly onNotSent?: (() => void) | undefined
}

/** Exactly one HTTP exchange: bytes in, a validated JSON object or a typed error out. */
export interface Transport {
  /** How many exchanges may be in flight. */
  readonly maxConnections: number
  /** @throws VKitError on any failure; `deadline.reason` if that comes first. */
  exchange(request: ExchangeRequest): Promise<GatewayResponse>
}
