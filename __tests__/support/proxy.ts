import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import { afterThisTest } from './gateway.js'

/** A proxy that opens tunnels for `CONNECT`. */
export interface Proxy {
  readonly url: string
  /** The bytes that clients sent to the proxy. */
  readonly heard: Buffer[]
  /** The response to CONNECT, if the proxy opens no tunnel. */
  refusal: string | undefined
}

/** Listens on loopback, and stops after the test. */
export async function startProxy(): Promise<Proxy> {
  const sockets = new Set<Socket>()
  const server = http.createServer().on('connect', (request, socket: Socket) => {
    sockets.add(socket.on('error', () => undefined))
    proxy.heard.push(Buffer.from(`${request.url} ${request.rawHeaders.join()}`))
    socket.on('data', chunk => proxy.heard.push(chunk))
    if (proxy.refusal !== undefined) return void socket.end(proxy.refusal)
    const [host, port] = (request.url ?? '').split(':')
    const upstream = net.connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      socket.pipe(upstream).pipe(socket)
    })
    sockets.add(upstream.on('error', () => undefined))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  afterThisTest(async () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const { port } = server.address() as AddressInfo
  const proxy: Proxy = { url: `http://127.0.0.1:${port}`, heard: [], refusal: undefined }
  return proxy
}
