import { once } from 'node:events'
import net from 'node:net'

const FIRST_PORT = 20_000
const PORTS = 10_000
/** Each test file starts elsewhere: several run at the same time. */
let next = (process.pid * 101) % PORTS

/**
 * A loopback port on which nothing listens.
 *
 * It is below those that the system assigns. One of those could be assigned again, to another test file, before the caller
 * uses it.
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
