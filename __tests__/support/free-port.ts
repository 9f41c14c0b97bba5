import { once } from 'node:events'
import net from 'node:net'

const FIRST_PORT = 20_000
const PORTS = 10_000
/** Each test file starts at a different port, because several files run at the same time. */
let next = (process.pid * 101) % PORTS

/**
 * Returns a loopback port on which nothing listens.
 *
 * It is below the ports that the system assigns, which the system could assign to another test file before the caller
 * uses the port.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < PORTS; attempt++) {
    const port = FIRST_PORT + (next++ % PORTS)
    if (await isFree(port)) return port
  }
  throw new Error('every port is in use')
}

async function isFree(port: number): Promise<boolean> {
  const server = net.createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch {
    return false
  }
  server.close()
  await once(server, 'close')
  return true
}
