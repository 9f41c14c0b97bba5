import type http from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { ProxyError } from './proxy-error.js'

/** Where Node's agents read their proxy: `HTTPS_PROXY` and `NO_PROXY`, in upper or lower case. */
export type ProxyEnv = Readonly<Record<string, string | undefined>>

export interface ProxyAgentOptions extends https.AgentOptions {
  readonly proxyEnv: ProxyEnv
  /** How long a connection through the proxy may take, with its tunnel and the handshake with the gateway. */
  readonly connectTimeoutMs: number
}

type OnConnection = (error: Error | null, socket: Duplex) => void

/** An agent that reaches the gateway through the proxy of `proxyEnv`: Node sends CONNECT, and then uses TLS as usual. */
export class ProxyAgent extends https.Agent {
  readonly #connectTimeoutMs: number
  /** The connections to the proxy, and those to hosts in `NO_PROXY`. */
  readonly #open = new Set<Socket>()

  constructor({ connectTimeoutMs, ...options }: ProxyAgentOptions) {
    super(options)
    this.#connectTimeoutMs = connectTimeoutMs
  }

  /** Calls `onConnection` only for a connection through the proxy. */
  override createConnection(options: http.ClientRequestArgs, onConnection: OnConnection): Socket {
    const socket = super.createConnection(options, (error, failed) => {
      clearTimeout(timer)
      // Otherwise, the proxy opened the tunnel, and the handshake with the gateway failed.
      onConnection(error && failed === socket ? new ProxyError(error) : error, failed)
    }) as Socket
    // No request has this socket before the handshake, so none could end the wait for a silent proxy or gateway.
    const timer = setTimeout(() => closeIfUnused(socket), this.#connectTimeoutMs).unref()
    this.#open.add(socket.once('close', () => this.#open.delete(socket)))
    return socket.unref() // See process-hold.ts.
  }

  /** Also closes the connections whose tunnel is not open yet. */
  override destroy(): void {
    super.destroy()
    for (const socket of this.#open) socket.destroy()
  }
}

function closeIfUnused(socket: Socket): void {
  // The agent listens to a socket as soon as it has it: at once for a direct connection, never for one to the proxy.
  if (socket.listenerCount('free') === 0) socket.destroy()
}
