import type { Events } from '../core/events.js'
import { FetchTransport, type FetchTransportOptions } from './fetch-transport.js'
import type { ClientTransport } from './transport.js'

export interface TransportOptions extends FetchTransportOptions {
  /** Unused: only the transport for Node sends a request again. */
  readonly events: Events
}

/** Returns the transport of this platform. It opens connections later. */
export function openTransport(options: TransportOptions): ClientTransport {
  return new FetchTransport(options)
}
