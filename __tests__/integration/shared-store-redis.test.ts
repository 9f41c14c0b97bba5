import KeyvRedis, { createClient } from '@keyv/redis'
import { afterAll, beforeAll, expect, it } from '@jest/globals'
import Keyv from 'keyv'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { systemClock, type Clock } from '../../lib/core/clock.js'
import type { VKitEvent, VKitEventType } from '../../lib/index.js'
import { makeClient, startGateway } from '../support/gateway.js'
import { describeWith } from '../support/needs.js'
import { redisOnPath, startRedis, type Server } from '../support/servers.js'

const CALLS = 10_000
const MINUTES = 60_000
/** A busy machine is slow, and these tests do not measure the speed of Redis. */
const slowedDown = (factor: number): Clock => ({
  ...systemClock,
  sleep: (ms, signal) => systemClock.sleep(ms * factor, signal),
})
const slowClock = slowedDown(10)

/** Ignores the errors of the killed server, and reconnects every 20 ms: the default waits for up to two seconds. */
const connect = (url: string) => createClient({ url, socket: { reconnectStrategy: 20 } }).on('error', () => undefined)

describeWith(redisOnPath, 'a real Redis', () => {
  let server: Server
  let keyv: Keyv
  beforeAll(async () => {
    server = await startRedis()
    keyv = new Keyv(new KeyvRedis(connect(server.url)))
  }, MINUTES)
  afterAll(async () => {
    await keyv.disconnect()
    await server.stop()
  }, MINUTES)

  it(
    'has no token, identity or secret in its dump, and no key that two secrets share',
    async () => {
      const gateways = [await startGateway(), await startGateway()]
      const hidden: string[] = gateways.map(gateway => gateway.appSecret)
      for (const gateway of gateways) {
        const client = makeClient(gateway, { cache: { store: keyv }, clock: slowClock })
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
      // The dump must not contain them or their parts, in plain text or encoded.
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

  it('deletes its records when the tokens expire', async () => {
    const gateway = await startGateway({ lifetimeMs: 7_200_000 })
    const client = makeClient(gateway, { cache: { store: keyv }, clock: slowClock })
    await client.getSessionToken('user')
    await client.close()
    const redis = await connect(server.url).connect()
    const ttls = await Promise.all((await redis.keys('*')).map(key => redis.pTTL(key)))
    await redis.close()
    expect(Math.min(...ttls)).toBeGreaterThan(0)
    expect(Math.max(...ttls)).toBeGreaterThan(3_600_000)
    expect(Math.max(...ttls)).toBeLessThanOrEqual(7_200_000)
  })

  it(
    `that is killed and restarted during ${CALLS} calls causes no failed call`,
    async () => {
      const gateway = await startGateway()
      const counts = new Map<VKitEventType, number>()
      const count = (type: VKitEventType): number => counts.get(type) ?? 0
      const onEvent = ({ type }: VKitEvent): void => void counts.set(type, count(type) + 1)
      let skippedMs = 0
      // A call that waits for the killed Redis waits in real time.
      const clock: Clock = { ...slowedDown(2), monotonic: () => systemClock.monotonic() + skippedMs }
      const options = { cache: { store: keyv }, onEvent, clock }
      const processes = Array.from({ length: 4 }, () => makeClient(gateway, options))

      let next = 0
      let pausesWhileDown = 0
      const failed: unknown[] = []
      const worker = async (): Promise<void> => {
        while (next < CALLS) {
          const call = next++
          if (call === (CALLS * 3) / 8) await server.kill()
          if (call === (CALLS * 5) / 8) {
            pausesWhileDown = count('store-pause')
            await server.start()
          }
          // The pause of up to 30 s must end long before the calls do.
          if (call > (CALLS * 5) / 8) skippedMs += 50
          // All four processes call for the same hundred users, so the later ones can find the tokens in the store.
          const block = Math.floor(call / 100)
          const user = `user-${Math.floor(block / 4)}-${call % 100}`
          await processes[block % 4]?.getSessionToken(user).catch((error: unknown) => failed.push(error))
        }
      }
      await Promise.all(Array.from({ length: 32 }, worker))

      expect(failed).toEqual([])
      expect(pausesWhileDown).toBeGreaterThan(0)
      expect(count('store-hit')).toBeGreaterThan(0)
      // The store is used again after a probe has succeeded.
      let later = 0
      while (count('store-resume') === 0) {
        skippedMs += 1_000
        await processes[0]?.getSessionToken(`later-${later++}`)
      }
      expect(count('failure')).toBe(0)
      process.stdout.write(
        `Redis killed and started again: ${CALLS + later} calls, ${failed.length} failed, ${count('mint')} mints, ` +
          `${count('store-hit')} store hits, ${count('store-failure')} store failures, ${count('store-pause')} pauses\n`,
      )
    },
    5 * MINUTES,
  )
})
