import { KeyvPostgres } from '@keyv/postgres'
import KeyvRedis from '@keyv/redis'
import { afterAll, beforeAll, describe } from '@jest/globals'
import Keyv from 'keyv'
import type { TokenStore } from '../../lib/index.js'
import { createRedisStore } from '../../lib/store/redis/index.js'
import { FakeClock } from '../../lib/testing/index.js'
import { WORKER_BINDINGS } from '../support/docs/run-blocks.js'
import { readFunction } from '../support/docs/read-function.js'
import { MemoryStore } from '../support/memory-store.js'
import { describeWith } from '../support/needs.js'
import { clientKinds } from '../support/redis-clients.js'
import { startRedisRest } from '../support/redis-rest.js'
import { redisOnPath, startPGlite, startRedis, type Server } from '../support/servers.js'
import { testStoreContract } from '../support/store-contract.js'

const GUIDE = 'docs/guides/shared-store.md'

describe('the contract of a store that is', () => {
  describe('a Map', () => {
    const open = async () => ({ store: new Map<string, string>() })
    testStoreContract({ expires: false, hasLeases: false, hasMessages: false, open })
  })

  describe('Keyv in memory', () => {
    testStoreContract({
      expires: true,
      hasLeases: false,
      hasMessages: false,
      open: async () => ({ store: new Keyv() }),
    })
  })

  describe('PGlite through Keyv', () => {
    const open = async () => {
      const server = await startPGlite()
      const store = new Keyv(new KeyvPostgres({ uri: server.url }))
      return { store, end: async () => (await store.disconnect(), server.stop()) }
    }
    testStoreContract({ expires: true, hasLeases: false, hasMessages: false, open })
  })

  describe('a MemoryStore', () => {
    const open = async () => {
      const clock = new FakeClock()
      return { store: new MemoryStore(clock), passTime: () => clock.advance(1) }
    }
    testStoreContract({ expires: true, hasLeases: true, hasMessages: true, open })
  })

  describe("Workers KV through the guide's recipe", () => {
    const open = async () => {
      const { env } = (await import(WORKER_BINDINGS)) as { env: { TOKENS: unknown } }
      const create = await readFunction<(kv: unknown) => TokenStore>(GUIDE, 'createKvStore')
      return { store: create(env.TOKENS) }
    }
    testStoreContract({ expires: false, hasLeases: false, hasMessages: false, open })
  })

  describeWith(redisOnPath, 'a real Redis', () => {
    let server: Server
    beforeAll(async () => void (server = await startRedis()), 60_000)
    afterAll(() => server.stop(), 60_000)

    describe('through Keyv', () => {
      const open = async () => {
        const store = new Keyv(new KeyvRedis(server.url))
        return { store, end: () => store.disconnect() }
      }
      testStoreContract({ expires: true, hasLeases: false, hasMessages: false, open })
    })

    describe("over HTTP through the guide's recipe", () => {
      const open = async () => {
        const rest = await startRedisRest(server.url)
        const create = await readFunction<(...args: string[]) => TokenStore>(GUIDE, 'createHttpRedisStore')
        return { store: create(rest.url, rest.token), end: rest.stop }
      }
      testStoreContract({ expires: true, hasLeases: false, hasMessages: false, open })
    })

    describe.each(clientKinds)('through $name', kind => {
      const open = async () => {
        const app = await kind.connect(server.url)
        return { store: createRedisStore(app.client), end: async () => app.close() }
      }
      testStoreContract({ expires: true, hasLeases: true, hasMessages: true, open })
    })
  })
})
