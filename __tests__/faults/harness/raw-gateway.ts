import net from 'node:net'
import tls from 'node:tls'

export interface RawRequest {
  readonly identity: string
  /** The number of earlier requests on the same connection. */
  readonly index: number
  readonly socket: net.Socket
}

type Respond = (request: RawRequest) => void

/** A server that writes bytes as a test defines them for the victim, and correct responses for all other users. */
export class RawGateway {
  readonly requests: RawRequest[] = []
  readonly sockets: net.Socket[] = []
  /** Writes the response for the victim. */
  respond: Respond = respondCorrectly
  /** Called for each connection before its first request. */
  greet: (socket: net.Socket) => void = () => undefined
  readonly #scheme: string
  #server: net.Server | undefined
  #port = 0

  private constructor(scheme: string) {
    this.#scheme = scheme
  }

  static async listen(secure?: tls.TlsOptions): Promise<RawGateway> {
    const gateway = new RawGateway(secure ? 'https' : 'http')
    await gateway.become(secure)
    return gateway
  }

  get port(): number {
    return this.#port
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.#port}`
  }

  /** Ends every connection, and starts another server on the same port. */
  async become(secure?: tls.TlsOptions): Promise<void> {
    this.#server?.close()
    for (const socket of this.sockets.splice(0)) socket.destroy()
    const accept = (socket: net.Socket): void => this.#accept(socket)
    const server = secure ? tls.createServer(secure, accept) : net.createServer(accept)
    server.on('tlsClientError', () => undefined)
    await new Promise<void>(resolve => server.listen(this.#port, '127.0.0.1', resolve))
    this.#server = server
    this.#port = (server.address() as net.AddressInfo).port
  }

  seenOf(identity: string): number {
    return this.requests.filter(request => request.identity === identity).length
  }

  #accept(socket: net.Socket): void {
    this.sockets.push(socket)
    socket.on('error', () => undefined)
    this.greet(socket)
    let index = 0
    let received = ''
    socket.on('data', chunk => {
      received += chunk.toString('latin1')
      const [head = '', body] = received.split('\r\n\r\n')
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? Infinity)
      if (body === undefined || body.length < length) return
      received = ''
      const request = { identity: readIdentity(body), index: index++, socket }
      this.requests.push(request)
      if (request.identity === 'victim') this.respond(request)
      else respondCorrectly(request)
    })
  }
}

function readIdentity(body: string): string {
  return (JSON.parse(Buffer.from(body, 'latin1').toString()) as { identity: string }).identity
}

/** The body of a correct response, with a token for one hour. */
export function correctBody(identity: string, changes: object = {}): string {
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
  return JSON.stringify({ sessionToken: `opaque-token-of-${identity}`, expiresAt, identity, ...changes })
}

/** A response as text. If `head` is given, it replaces the usual headers. */
export function http(body: string, head: string[] = [], status = '200 OK'): string {
  const headers = head.length > 0 ? head : [`Content-Length: ${Buffer.byteLength(body)}`]
  return [`HTTP/1.1 ${status}`, 'Content-Type: application/json', ...headers, '', body].join('\r\n')
}

export const respondCorrectly: Respond = ({ socket, identity }) => void socket.write(http(correctBody(identity)))
