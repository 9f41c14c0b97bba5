import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import type { EventEmitter } from 'node:events'
import { Redis } from 'ioredis'
import { createClient, RESP_TYPES } from 'redis'
import type { StoreSubscription } from '../../lib/index.js'
import { createRedisStore, type RedisStore } from '../../lib/store/redis/index.js'
import { describeWith } from '../support/needs.js'
import { clientKinds, type AppClient } from '../support/redis-clients.js'
import { redisOnPath, startRedis, type Server } from '../support/servers.js'
import { untilTrue } from '../support/until.js'

const HOUR = 3_600_000
const LIMIT = 256 * 1024
const KEY = 'vkit:1:id:key'
const CHANNEL = 'vkit:1:id:channel'

describeWith(redisOnPath, 'createRedisStore on a real Redis', () => {
  let server: Server
  let admin: Admin
  beforeAll(async () => {
    server = await startRedis()
    admin = createAdmin(server.url)
    await admin.connect()
  }, 60_000)
  afterAll(async () => {
    admin.destroy()
    await server.stop()
  }, 60_000)

  describe.each(clientKinds)('with $name', kind => {
    let app: AppClient
    let store: RedisStore
    beforeEach(async () => {
      await admin.sendCommand(['FLUSHALL'])
      app = await kind.connect(server.url)
      store = createRedisStore(app.client)
    })
    afterEach(() => app.close())

    const listen = async () => {
      const messages: string[] = []
      const losses: string[] = []
      const subscription: StoreSubscription = await store.subscribe(CHANNEL, {
        onMessage: message => void messages.push(message),
        onLost: () => void losses.push('lost'),
      })
      return { messages, losses, subscription, ping: async () => subscription.ping?.() }
    }
    const subscribers = async (): Promise<number> =>
      (await admin.sendCommand<string>(['CLIENT', 'LIST', 'TYPE', 'pubsub'])).split('\n').filter(Boolean).length

    it('reads at most 256 KiB and 1 byte of a value, in one command', async () => {
      await admin.sendCommand(['SETRANGE', KEY, String(200 * 1024 * 1024), 'x'])
      expect(await store.get(KEY)).toHaveLength(LIMIT + 1)
      await admin.sendCommand(['SETRANGE', `{${KEY}}:lease`, String(200 * 1024 * 1024), 'x'])
      expect(await store.acquireLease(KEY, 'holder', HOUR)).toBe(false)
    })

    it('drops a message over 256 KiB', async () => {
      const { messages, losses, subscription } = await listen()
      for (const text of ['x'.repeat(LIMIT + 1), 'y'.repeat(LIMIT)]) await store.publish(CHANNEL, text)
      await untilTrue(() => messages.length > 0)
      expect([messages[0]?.[0], messages.length, losses]).toEqual(['y', 1, []])
      subscription.close()
    })

    it('sends its scripts again to a server that lost them', async () => {
      await store.acquireLease(KEY, 'holder', HOUR)
      await admin.sendCommand(['SCRIPT', 'FLUSH'])
      expect(await store.acquireLease(KEY, 'other', HOUR)).toBe(false)
      await admin.sendCommand(['SCRIPT', 'FLUSH'])
      await store.releaseLease(KEY, 'holder')
      expect(await store.acquireLease(KEY, 'other', HOUR)).toBe(true)
    })

    it('takes, refuses, extends and frees a lease with one command each', async () => {
      await store.acquireLease(KEY, 'holder', HOUR)
      await store.releaseLease(KEY, 'holder')
      await admin.sendCommand(['CONFIG', 'RESETSTAT'])
      for (const holder of ['holder', 'other', 'holder']) await store.acquireLease(KEY, holder, HOUR)
      await store.releaseLease(KEY, 'holder')
      const stats = await admin.sendCommand<string>(['INFO', 'commandstats'])
      expect(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1]).toBe('4')
      expect(stats).not.toContain('cmdstat_eval:')
    })

    it('rejects while the server is a read-only replica', async () => {
      await store.acquireLease(KEY, 'holder', HOUR)
      await admin.sendCommand(['REPLICAOF', '127.0.0.1', '1'])
      try {
        const operations = [
          () => store.set(KEY, 'text', HOUR),
          () => store.delete(KEY),
          () => store.acquireLease(KEY, 'holder', HOUR),
          () => store.releaseLease(KEY, 'holder'),
        ]
        for (const operation of operations) await expect(rejection(operation)).resolves.toContain('READONLY')
      } finally {
        await admin.sendCommand(['REPLICAOF', 'NO', 'ONE'])
      }
    })

    it('rejects a write while the server is full, and still frees a lease', async () => {
      await store.acquireLease(KEY, 'holder', HOUR)
      await admin.sendCommand(['CONFIG', 'SET', 'maxmemory', '1'])
      try {
        await expect(rejection(() => store.set(KEY, 'text', HOUR))).resolves.toContain('OOM')
        await expect(rejection(() => store.acquireLease(KEY, 'holder', HOUR))).resolves.toContain('OOM')
        await store.releaseLease(KEY, 'holder')
      } finally {
        await admin.sendCommand(['CONFIG', 'SET', 'maxmemory', '0'])
      }
      expect(await store.acquireLease(KEY, 'other', HOUR)).toBe(true)
    })

    it('replaces a value of another type in the place of a record, and rejects one in the place of a lease', async () => {
      await admin.sendCommand(['LPUSH', KEY, 'x'])
      await admin.sendCommand(['LPUSH', `{${KEY}}:lease`, 'x'])
      expect(await store.get(KEY)).toBeUndefined()
      await store.set(KEY, 'value', HOUR)
      expect(await store.get(KEY)).toBe('value')
      await expect(rejection(() => store.acquireLease(KEY, 'holder', HOUR))).resolves.toContain('WRONGTYPE')
    })

    it('reports once that the connection of the subscription was killed, and can subscribe again', async () => {
      const { losses, subscription, ping } = await listen()
      await admin.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub'])
      await untilTrue(() => losses.length > 0)
      await rejection(ping)
      subscription.close()
      const again = await listen()
      await store.publish(CHANNEL, 'text')
      await untilTrue(() => again.messages.length > 0)
      again.subscription.close()
      await untilTrue(async () => (await subscribers()) === 0)
      expect([losses, again.losses]).toEqual([['lost'], []])
    })

    it('reports once that the server was killed, and subscribes when it is back', async () => {
      const { losses, subscription } = await listen()
      await server.kill()
      await untilTrue(() => losses.length > 0)
      await rejection(listen)
      await server.start()
      const again = await listen()
      again.subscription.close()
      subscription.close()
      expect([losses, again.losses]).toEqual([['lost'], []])
    })

    it('pings a server that does not respond until it is closed, which is not a loss', async () => {
      const { losses, subscription, ping } = await listen()
      server.pause()
      const pinged = rejection(ping)
      subscription.close()
      await pinged
      server.resume()
      await untilTrue(async () => (await subscribers()) === 0)
      expect(losses).toEqual([])
    })

    it('leaves the client as it was', async () => {
      const before = traitsOf(app.client)
      const { subscription } = await listen()
      await admin.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub'])
      subscription.close()
      await store.set(KEY, 'text', HOUR)
      expect(traitsOf(app.client)).toEqual(before)
      expect(await store.get(KEY)).toBe('text')
    })

    it('needs only these permissions', async () => {
      await admin.sendCommand(['ACL', 'SETUSER', 'vkit', 'reset', 'on', '>password', ...PERMISSIONS])
      await admin.sendCommand(['ACL', 'LOG', 'RESET'])
      await admin.sendCommand(['SCRIPT', 'FLUSH'])
      const limited = await kind.connect(server.url.replace('//', '//vkit:password@'))
      try {
        store = createRedisStore(limited.client)
        const { messages, subscription, ping } = await listen()
        await store.set(KEY, 'text', HOUR)
        expect([await store.get(KEY), await store.acquireLease(KEY, 'holder', HOUR)]).toEqual(['text', true])
        await store.releaseLease(KEY, 'holder')
        await store.delete(KEY)
        await store.publish(CHANNEL, 'text')
        await untilTrue(() => messages.length > 0)
        await ping()
        subscription.close()
        expect(await admin.sendCommand(['ACL', 'LOG'])).toEqual([])
        for (const operation of [
          () => store.get('other'),
          () => store.acquireLease('other', 'holder', HOUR),
          () => store.publish('other', 'text'),
          () => store.subscribe('other', { onMessage: () => undefined, onLost: () => undefined }),
        ]) {
          await expect(rejection(operation)).resolves.toContain('NOPERM')
        }
      } finally {
        limited.close()
      }
    })
  })

  /** Options that change replies, keys, or when commands are sent. */
  const unusual = {
    'node-redis with a type mapping': () =>
      createClient({ url: server.url }).withTypeMapping({
        [RESP_TYPES.BLOB_STRING]: Buffer,
        [RESP_TYPES.SIMPLE_STRING]: Buffer,
        [RESP_TYPES.NUMBER]: String,
      }),
    'node-redis with pings, a cache and no offline queue': () =>
      createClient({
        url: server.url,
        RESP: 3,
        pingInterval: 1,
        disableOfflineQueue: true,
        clientSideCache: { ttl: 0, maxEntries: 1 },
      }),
    'ioredis with a key prefix and numbers as texts': () =>
      new Redis(server.url, { lazyConnect: true, keyPrefix: 'app:', stringNumbers: true }),
    'ioredis with pipelines and no offline queue': () =>
      new Redis(server.url, { lazyConnect: true, enableAutoPipelining: true, enableOfflineQueue: false }),
    'ioredis with limits': () =>
      new Redis(server.url, { lazyConnect: true, commandTimeout: 5_000, maxRetriesPerRequest: null }),
    'ioredis with native replies': () => new Redis(server.url, { lazyConnect: true, replyMapping: 'resp3' }),
  }
  it.each(Object.keys(unusual) as (keyof typeof unusual)[])('works with %s', async name => {
    await admin.sendCommand(['FLUSHALL'])
    const client = unusual[name]().on('error', () => undefined)
    await client.connect()
    const store = createRedisStore(client)
    const messages: string[] = []
    const { ping, close } = await subscribeBound(store, messages)
    await store.set(KEY, 'text', HOUR)
    await store.publish(CHANNEL, 'message')
    await untilTrue(() => messages.length > 0)
    const leases = []
    for (const holder of ['a', 'b', 'a']) leases.push(await store.acquireLease(KEY, holder, HOUR))
    await ping()
    close()
    expect([await store.get(KEY), await store.get('other'), messages]).toEqual(['text', undefined, ['message']])
    expect(leases).toEqual([true, false, true])
    void client.disconnect()
  })
})

type Admin = ReturnType<typeof createAdmin>

/** Reconnects to a server that a test has restarted. */
function createAdmin(url: string) {
  return createClient({ url, socket: { reconnectStrategy: 20 } }).on('error', () => undefined)
}

/** The permissions of docs/guides/shared-store.md. */
const PERMISSIONS = [
  ...['~vkit:*', '~{vkit:*}:lease', '&vkit:*'],
  ...['getrange', 'set', 'del', 'eval', 'evalsha', 'publish', 'subscribe', 'ping', 'info'].map(name => `+${name}`),
]

/** What is wrong with a promise. Fails if it resolves. */
async function rejection(operation: () => unknown): Promise<string> {
  try {
    await operation()
  } catch (error) {
    return (error as Error).message
  }
  throw new Error('did not reject')
}

async function subscribeBound(store: RedisStore, messages: string[]) {
  const subscription = await store.subscribe(CHANNEL, {
    onMessage: message => void messages.push(message),
    onLost: () => undefined,
  })
  return { ping: async () => subscription.ping?.(), close: () => subscription.close() }
}

/** What an application could notice: the listeners and the options of its client. */
function traitsOf(client: unknown): unknown {
  const emitter = client as EventEmitter & { options: { socket?: object } }
  const { socket } = emitter.options
  return [emitter.eventNames().map(name => [name, emitter.listenerCount(name)]), { ...emitter.options }, { ...socket }]
}
