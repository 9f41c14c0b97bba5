import { KeyvPostgres } from '@keyv/postgres'
import KeyvRedis from '@keyv/redis'
import { afterAll, beforeAll, describe } from '@jest/globals'
import Keyv from 'keyv'
import { createRedisStore } from '../../lib/store/redis/index.js'
import { FakeClock } from '../../lib/testing/index.js'
import { MemoryStore } from '../support/memory-store.js'
import { describeWith } from '../support/needs.js'
import { clientKinds } from '../support/redis-clients.js'
import { redisOnPath, startPGlite, startRedis, type Server } from '../support/servers.js'
import { testStoreContract } from '../support/store-contract.js'

describe('the contract of a store that is', () => {
  describe('a Map', () => {
    const open = async () => ({ store: new Map<string, string>() })
    testStoreContract({ expires: false, hasLeasesAndMessages: false, open })
  })

  describe('Keyv in memory', () => {
    testStoreContract({ expires: true, hasLeasesAndMessages: false, open: async () => ({ store: new Keyv() }) })
  })

  describe('PGlite through Keyv', () => {
    const open = async () => {
      const server = await startPGlite()
      const store = new Keyv(new KeyvPostgres({ uri: server.url }))
      return { store, end: async () => (await store.disconnect(), server.stop()) }
    }
    testStoreContract({ expires: true, hasLeasesAndMessages: false, open })
  })

  describe('a MemoryStore', () => {
    const open = async () => {
      const clock = new FakeClock()
      return { store: new MemoryStore(clock), passTime: () => clock.advance(1) }
    }
    testStoreContract({ expires: true, hasLeasesAndMessages: true, open })
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
      testStoreContract({ expires: true, hasLeasesAndMessages: false, open })
    })

    describe.each(clientKinds)('through $name', kind => {
      const open = async () => {
        const app = await kind.connect(server.url)
        return { store: createRedisStore(app.client), end: async () => app.close() }
      }
      testStoreContract({ expires: true, hasLeasesAndMessages: true, open })
    })
  })
})
