// One of several processes that share a store. It prints ready, waits for input, gets all tokens, and prints its result.
import KeyvRedis from '@keyv/redis'
import { VKitClient } from '@video-io/videokit-nodejs'
import Keyv from 'keyv'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'

const { redis, gateway, appSecret, users, everyMs = 0, concurrency = 32 } = JSON.parse(process.argv[2])

const keyv = new Keyv(new KeyvRedis(redis))
// Connects before the measurement, as a server connects before it gets traffic.
await keyv.get('warm-up')
const problems = {}
const onEvent = ({ type, reason }) => {
  if (type === 'store-failure') problems[reason] = (problems[reason] ?? 0) + 1
}
const vkit = new VKitClient({ appSecret, baseUrl: gateway, cache: { store: keyv }, onEvent })

console.log('ready')
await once(process.stdin, 'data')
const start = performance.now()
let next = 0
await Promise.all(
  Array.from({ length: everyMs > 0 ? users : concurrency }, async (_, runner) => {
    if (everyMs > 0) await wait(runner * everyMs)
    while (next < users) {
      await vkit.getSessionToken(`user-${next++}`)
      if (everyMs > 0) return
    }
  }),
)
const { mints, misses, failures } = vkit.stats()
const ms = Math.round(performance.now() - start)
await vkit.close()
await keyv.disconnect()
console.log(JSON.stringify({ mints, misses, failures, ms, problems }))
process.exit()
