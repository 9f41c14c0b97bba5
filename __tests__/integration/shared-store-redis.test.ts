import KeyvRedis, { createClient } from '@keyv/redis'
import { afterAll, beforeAll, expect, it } from '@jest/globals'
import Keyv from 'keyv'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { systemClock } from '../../lib/core/clock.js'
import type { VKitEventType } from '../../lib/index.js'
import { makeClient, recordEvents, startGateway } from '../support/gateway.js'
import { describeWith } from '../support/needs.js'
import { redisOnPath, startRedis, type Server } from '../support/servers.js'

const CALLS = 10_000
const MINUTES = 60_000
/** Busy machines are slow: what is shown here is not how fast Redis is. */
const patient = {
  ...systemClock,
  sleep: (ms: number, signal?: AbortSignal): Promise<void> => systemClock.sleep(ms * 10, signal),
}

/** It will be killed, and says so. */
const connect = (url: string) => createClient({ url }).on('error', () => undefined)

describeWith(redisOnPath, 'a real Redis', () => {
  let server: Server
  let keyv: Keyv
  beforeAll(async () => {
    server = await startRedis()
    keyv = new Keyv(new KeyvRedis(server.url))
  }, MINUTES)
  afterAll(async () => {
    await keyv.disconnect()
    await server.stop()
  }, MINUTES)

  it(
    'shows in a dump no token, no identity, no secret, and two secrets share no key',
    async () => {
      const gateways = [await startGateway(), await startGateway()]
      const hidden: string[] = gateways.map(gateway => gateway.appSecret)
      for (const gateway of gateways) {
        const client = makeClient(gateway, { cache: { store: keyv }, clock: patient })
        for (let user = 0; user < 50; user++) {
          const identity = `user-${user}@example.com`
          const { sessionToken } = await client.getSessionToken(identity, ['videos.read'])
          hidden.push(sessionToken, identity)
        }
        await client.close()
      }
      const redis = await connect(server.url).connect()
      await redis.sendCommand(['SAVE'])
      await redis.close()
      const dump = readFileSync(path.join(server.folder, 'dump.rdb')).toString('latin1')

      const keys = (dump.match(/vkit:1:[\w-]{12}:[\w-]{43}/g) ?? []).map(key => key.split(':'))
      expect([keys.length, new Set(keys.map(key => key[2])).size, new Set(keys.map(key => key[3])).size]).toEqual([
        100, 2, 100,
      ])
      // Neither whole nor in part, neither plain nor encoded.
      const parts = hidden.flatMap(text => [text, ...text.split(/[.@]/)])
      const forms = parts.flatMap(text => {
        const bytes = Buffer.from(text)
        return [text, bytes.toString('base64').slice(0, -4), bytes.toString('hex')].filter(form => form.length > 4)
      })
      expect(forms.length).toBeGreaterThan(1_000)
      expect(forms.filter(form => dump.includes(form))).toEqual([])
    },
    2 * MINUTES,
  )

  it('loses its records by itself when the tokens expire', async () => {
    const gateway = await startGateway({ lifetimeMs: 7_200_000 })
    const client = makeClient(gateway, { cache: { store: keyv }, clock: patient })
    await client.getSessionToken('somebody')
    await client.close()
    const redis = await connect(server.url).connect()
    const ttls = await Promise.all((await redis.keys('*')).map(key => redis.pTTL(key)))
    await redis.close()
    expect(Math.min(...ttls)).toBeGreaterThan(0)
    expect(Math.max(...ttls)).toBeGreaterThan(3_600_000)
    expect(Math.max(...ttls)).toBeLessThanOrEqual(7_200_000)
  })

  it(
    `killed in the middle of ${CALLS} calls, and started again, fails none of them`,
    async () => {
      const gateway = await startGateway()
      const told = recordEvents()
      const options = { cache: { store: keyv }, onEvent: told.onEvent, clock: patient }
      const processes = [makeClient(gateway, options), makeClient(gateway, options)]
      const count = (type: VKitEventType): number => told.types().filter(each => each === type).length

      let next = 0
      let pausesWhileDown = 0
      const failed: unknown[] = []
      const lane = async (): Promise<void> => {
        while (next < CALLS) {
          const call = next++
          if (call === CALLS / 4) await server.kill()
          if (call === (CALLS * 3) / 4) {
            pausesWhileDown = count('store-pause')
            await server.start()
          }
          // A hundred users of one process, then the same of another, which may find them in the store.
          const block = Math.floor(call / 100)
          const user = `user-${Math.floor(block / 2)}-${call % 100}`
          await processes[block % 2]?.getSessionToken(user).catch((error: unknown) => failed.push(error))
        }
      }
      await Promise.all(Array.from({ length: 32 }, lane))

      expect(failed).toEqual([])
      expect(pausesWhileDown).toBeGreaterThan(0)
      expect(count('store-hit')).toBeGreaterThan(0)
      // And it is used again, once it has been found to answer.
      let later = 0
      while (count('store-resume') === 0) await processes[0]?.getSessionToken(`later-${later++}`)
      expect(count('failure')).toBe(0)
      process.stdout.write(
        `Redis killed and started again: ${CALLS + later} calls, ${failed.length} failed, ${count('mint')} mints, ` +
          `${count('store-hit')} store hits, ${count('store-failure')} store failures, ${count('store-pause')} pauses\n`,
      )
    },
    5 * MINUTES,
  )
})
