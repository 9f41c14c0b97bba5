import { VKitConfigError } from '../../core/errors.js'
import { MAX_RECORD_LENGTH } from '../max-record-length.js'
import type { TokenStore } from '../token-store.js'
import type { RedisCommands } from './connection.js'
import { ioredisCommands, isIoredis, type IoredisClient, type IoredisCluster } from './ioredis.js'
import { isNodeRedis, nodeRedisCommands, type NodeRedisClient, type NodeRedisCluster } from './node-redis.js'
import { ACQUIRE, RELEASE, runScript } from './scripts.js'
import { openSubscription } from './subscription.js'

/** A client of node-redis or ioredis, version 5 or later, for one server or for a cluster. */
export type RedisClient = NodeRedisClient | NodeRedisCluster | IoredisClient | IoredisCluster

/** A store with leases and messages, so that the processes act as one. */
export type RedisStore = Required<TokenStore>

/**
 * Creates a store on Redis or Valkey, for the option `cache.store`.
 *
 * The client stays yours: connect it before, and close it after the `VKitClient`. To receive messages, the store
 * duplicates it. That connection does not keep the process alive, and ends when the `VKitClient` is closed.
 *
 * @throws VKitConfigError if it is not a client of node-redis or ioredis.
 */
export function createRedisStore(client: RedisClient): RedisStore {
  const commands = commandsOf(client)
  return {
    get: async key => textOf(await commands.getRange(key, MAX_RECORD_LENGTH).catch(absentIfWrongType)),
    set: async (key, value, ttlMs) => {
      const reply = await commands.set(key, value, ttlMs)
      if (scalarOf(reply) !== 'OK') throw new Error('Redis has not stored the record.')
    },
    delete: key => commands.delete(key),
    acquireLease: async (key, holder, ttlMs) => {
      const reply = await runScript(commands, ACQUIRE, { key: leaseKeyOf(key), args: [holder, String(ttlMs)] })
      return isHeld(reply)
    },
    releaseLease: (key, holder) => runScript(commands, RELEASE, { key: leaseKeyOf(key), args: [holder] }),
    publish: (channel, message) => commands.publish(channel, message),
    subscribe: async (channel, listener) => openSubscription(await commands.createSubscriber(), channel, listener),
  }
}

function commandsOf(client: object): RedisCommands {
  try {
    if (isNodeRedis(client)) return nodeRedisCommands(client)
    if (isIoredis(client)) return ioredisCommands(client)
  } catch {
    // It is not an object, or a proxy that throws.
  }
  throw new VKitConfigError(
    'createRedisStore needs a client of node-redis (createClient, createCluster) or ioredis (Redis, Cluster), ' +
      'version 5 or later. Pass the client itself, not a promise, a URL or options. With Sentinel, use ioredis.',
  )
}

/** A writer of Redis can store a list where a record belongs. That must not look as if Redis failed; SET replaces it. */
function absentIfWrongType(error: unknown): string {
  if (error instanceof Error && error.message.startsWith('WRONGTYPE')) return ''
  throw error
}

/** In the slot of the record, because a cluster hashes only the part in braces. */
function leaseKeyOf(key: string): string {
  return `{${key}}:lease`
}

/** GETRANGE returns an empty text for a missing key. */
function textOf(reply: unknown): string | undefined {
  if (reply === null || reply === undefined) return undefined
  if (typeof reply !== 'string' && !Buffer.isBuffer(reply)) throw new Error('The reply of Redis is not a text.')
  return reply.toString() || undefined
}

function isHeld(reply: unknown): boolean {
  const held = scalarOf(reply)
  if (held !== '0' && held !== '1') throw new Error('The reply of Redis is neither 0 nor 1.')
  return held === '1'
}

/** A client can be told to return numbers as texts, and texts as buffers. */
function scalarOf(reply: unknown): string | undefined {
  return Array.isArray(reply) ? undefined : String(reply)
}
