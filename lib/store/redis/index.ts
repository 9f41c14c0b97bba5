/** @module redis */

export { createRedisStore, type RedisClient, type RedisStore } from './redis-store.js'
export type { NodeRedisClient, NodeRedisCluster, NodeRedisCommands } from './node-redis.js'
export type { IoredisClient, IoredisCluster } from './ioredis.js'
