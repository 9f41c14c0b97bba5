import { GotTransport, type GotTransportOptions } from './got-transport.js'
import type { ClientTransport } from './transport.js'

export type TransportOptions = GotTransportOptions

/** Returns the transport of this platform. It opens connections later. */
export function openTransport(options: TransportOptions): ClientTransport {
  return new GotTransport(options)
}
