import type { Deadline } from '../core/deadline.js'
import type { GatewayResponse } from './response.js'

export interface ExchangeRequest {
  readonly secret: string
  /** JSON text. */
  readonly body: string
  readonly deadline: Deadline
  /** Called when the request has a socket: from now on it waits for the gateway. */
  readonly onDispatch?: () => void
}

/** Exactly one HTTP exchange: bytes in, a validated JSON object or a typed error out. */
export interface Transport {
  /** @throws VKitError on any failure; `deadline.reason` if that comes first. */
  exchange(request: ExchangeRequest): Promise<GatewayResponse>
}
