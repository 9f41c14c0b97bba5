// One of several processes that share a store: says when it is ready, asks for its users when told to, says what it did.
import KeyvRedis from '@keyv/redis'
import { VKitClient } from '@video-io/videokit-nodejs'
import Keyv from 'keyv'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'

const { redis, gateway, appSecret, users, everyMs = 0, concurrency = 32 } = JSON.parse(process.argv[2])

const keyv = new Keyv(new KeyvRedis(redis))
// Connected before the race begins, as a server is before it is given traffic.
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
  Array.from({ length: everyMs > 0 ? users : concurrency }, async (_, lane) => {
    if (everyMs > 0) await wait(lane * everyMs)
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
