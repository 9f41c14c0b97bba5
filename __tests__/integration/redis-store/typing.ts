// Compiled by `npm run typecheck`, never run: it checks that the clients of each version need no cast.
import { Cluster, Redis } from 'ioredis'
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis-v5'
import { createClient, createClientPool, createCluster, createSentinel, RESP_TYPES } from 'redis'
import { createClient as createClient5, createCluster as createCluster5 } from 'redis-v5'
import { createRedisStore, type RedisClient, type RedisStore } from '../../../lib/store/redis/index.js'
import type { VKitClientOptions } from '../../../lib/index.js'

const cluster = { rootNodes: [{ url: 'redis://127.0.0.1:7000' }] }

export const clients: RedisClient[] = [
  createClient(),
  createClient({ RESP: 2 }),
  createClient({ RESP: 3, clientSideCache: { ttl: 1 } }),
  createClient().withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }),
  createCluster(cluster),
  createClient5(),
  createClient5({ RESP: 3 }),
  createCluster5(cluster),
  new Redis(),
  new Redis({ replyMapping: 'resp3' }),
  new Cluster([]),
  new Redis5(),
  new Cluster5([]),
]
export const stores: RedisStore[] = clients.map(client => createRedisStore(client))
export const options: VKitClientOptions = { cache: { store: createRedisStore(createClient()) } }

// @ts-expect-error a promise of a client
createRedisStore(createClient().connect())
// @ts-expect-error its subscription would move to another server, and messages could be missing
createRedisStore(createSentinel({ name: 'main', sentinelRootNodes: [] }))
// @ts-expect-error a pool cannot subscribe
createRedisStore(createClientPool())
// @ts-expect-error a URL is not a client
createRedisStore('redis://127.0.0.1:6379')
