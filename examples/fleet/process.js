// One of the processes: a server of yours, which takes its requests from its parent process here.
import { EventEmitter, once } from 'node:events'
import { VKitClient } from '@video-io/videokit-nodejs'
import { createRedisStore } from '@video-io/videokit-nodejs/redis'
import { createClient } from 'redis'

const redis = createClient({ url: process.env.REDIS_URL })
redis.on('error', error => console.error('redis:', error.message))
await redis.connect()

const events = new EventEmitter()
const subscribed = once(events, 'subscription-start')
const invalidated = once(events, 'invalidation-received')
const vkit = new VKitClient({
  cache: { store: createRedisStore(redis) },
  onEvent: event => events.emit(event.type),
})

const methods = {
  getToken: async identity => (await vkit.getSessionToken(identity)).sessionToken,
  invalidate: identity => vkit.invalidate(identity),
  mints: () => vkit.stats().mints,
  untilSubscribed: () => subscribed.then(() => undefined),
  untilInvalidated: () => invalidated.then(() => undefined),
}

process.on('message', async ({ method, identity }) => process.send({ result: await methods[method](identity) }))

process.once('disconnect', async () => {
  // The client before the connection, because it passes its pending writes.
  await vkit.close()
  await redis.close()
})
