import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-v5'
import { createClient } from 'redis'
import { createClient as createClient5 } from 'redis-v5'
import type { RedisClient } from '../../lib/store/redis/index.js'

/** A connected client of an application, which ignores the errors of a server that a test has ended. */
export interface AppClient {
  readonly client: RedisClient
  close(): void
}

export interface ClientKind {
  readonly name: string
  readonly connect: (url: string) => Promise<AppClient>
}

const ignore = (): void => undefined

/** Every client that `createRedisStore` supports, with the protocols that it can speak. */
export const clientKinds: ClientKind[] = [
  ...([2, 3] as const).flatMap(protocol => [
    {
      name: `node-redis 6, RESP${protocol}`,
      connect: async (url: string) => {
        const client = await createClient({ url, RESP: protocol, socket: { reconnectStrategy: 20 } })
          .on('error', ignore)
          .connect()
        return { client, close: () => client.destroy() }
      },
    },
    {
      name: `node-redis 5, RESP${protocol}`,
      connect: async (url: string) => {
        const client = await createClient5({ url, RESP: protocol, socket: { reconnectStrategy: 20 } })
          .on('error', ignore)
          .connect()
        return { client, close: () => client.destroy() }
      },
    },
    {
      name: `ioredis 6, RESP${protocol}`,
      connect: async (url: string) =>
        ofIoredis(
          new Redis(url, { protocol, lazyConnect: true, retryStrategy: () => 20, disconnectTimeout: 0 }).on(
            'error',
            ignore,
          ),
        ),
    },
  ]),
  {
    name: 'ioredis 5',
    connect: async (url: string) =>
      ofIoredis(
        new Redis5(url, { lazyConnect: true, retryStrategy: () => 20, disconnectTimeout: 0 }).on('error', ignore),
      ),
  },
]

async function ofIoredis(client: RedisClient & { connect(): Promise<void>; disconnect(): void }): Promise<AppClient> {
  await client.connect()
  return { client, close: () => client.disconnect() }
}
