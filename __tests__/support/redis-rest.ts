import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { createClient } from 'redis'

export interface RedisRest {
  readonly url: string
  readonly token: string
  readonly stop: () => Promise<void>
}

/** Starts a server with the part of Upstash's REST API that runs one command, in front of a real Redis. */
export async function startRedisRest(redisUrl: string): Promise<RedisRest> {
  const token = 'token-of-the-rest-api'
  const redis = await createClient({ url: redisUrl }).connect()
  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const reply = (status: number, body: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }
    if (request.headers.authorization !== `Bearer ${token}`) return reply(401, { error: 'Unauthorized' })
    try {
      const command = (await json(request)) as unknown[]
      reply(200, { result: (await redis.sendCommand(command.map(String))) as unknown })
    } catch (error) {
      reply(400, { error: String(error) })
    }
  }
  const server = createServer((request, response) => void respond(request, response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token,
    stop: async () => {
      server.close()
      server.closeAllConnections()
      redis.destroy()
      await once(server, 'close')
    },
  }
}
