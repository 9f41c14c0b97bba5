import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import tls from 'node:tls'
import { afterThisTest } from './gateway.js'

/** A server that records every byte it receives, as text with one character per byte. */
export interface RecordingServer {
  readonly port: number
  /** The decrypted data of each connection, in the order of their handshakes. */
  readonly connections: string[]
  readonly requests: string[]
  /** Is called for each complete request. Responds with a session token unless a test replaces it. */
  respond: (socket: Socket, request: string) => void
  /** Resolves when every connection has closed and nothing more can arrive. */
  closed(): Promise<void>
}

/** Listens on loopback, with TLS if `secure` is set, and stops after the test. */
export async function startRecordingServer(secure?: tls.TlsOptions): Promise<RecordingServer> {
  const open = new Set<Socket>()
  const accept = (socket: Socket): void => {
    const index = recorder.connections.push('') - 1
    let all = ''
    let pending = ''
    socket.on('error', () => undefined)
    socket.on('data', chunk => {
      const text = chunk.toString('latin1')
      recorder.connections[index] = all += text
      pending += text
      if (!isComplete(pending)) return
      const request = pending
      pending = ''
      recorder.requests.push(request)
      recorder.respond(socket, request)
    })
  }
  const server = secure ? tls.createServer(secure, accept) : net.createServer(accept)
  server.on('tlsClientError', () => undefined)
  server.on('connection', (socket: Socket) => {
    open.add(socket.on('error', () => undefined).once('close', () => open.delete(socket)))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const recorder: RecordingServer = {
    port: (server.address() as AddressInfo).port,
    connections: [],
    requests: [],
    respond: respondWithToken,
    closed: async () => {
      // `once` of node:events would reject if a client resets its connection.
      await Promise.all([...open].map(socket => new Promise(resolve => socket.once('close', resolve))))
    },
  }
  afterThisTest(async () => {
    server.close()
    for (const socket of open) socket.destroy()
    await recorder.closed()
  })
  return recorder
}

/** Data that is not HTTP, such as the start of a handshake, is always complete. */
function isComplete(request: string): boolean {
  if (!/^[A-Z]+ /.test(request)) return true
  const [head = '', body] = request.split('\r\n\r\n')
  return body !== undefined && body.length >= Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
}

export function respondWithToken(socket: Socket, request: string): void {
  const identity = /"identity":"(\w+)"/.exec(request)?.[1] ?? ''
  const body = JSON.stringify({ sessionToken: `token-of-${identity}`, expiresAt: '2099-01-01T00:00:00Z', identity })
  socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
}
