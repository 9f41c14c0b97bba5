// Creates a store with a client that does what the store needs, from both copies. No client library is installed.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import * as imported from '@video-io/videokit-nodejs/redis'
import { VKitConfigError } from '@video-io/videokit-nodejs'

const required = createRequire(import.meta.url)('@video-io/videokit-nodejs/redis')
assert.deepEqual(Object.keys(required).sort(), Object.keys(imported).sort())

for (const { createRedisStore } of [imported, required]) {
  const sent = []
  const call = async (...command) => (sent.push(command), command[0] === 'getrange' ? 'record' : 'OK')
  const store = createRedisStore({ call, duplicate: () => undefined, disconnect: () => undefined })
  await store.set('key', 'record', 1_000)
  assert.equal(await store.get('key'), 'record')
  assert.deepEqual(sent, [
    ['set', 'key', 'record', 'PX', '1000'],
    ['getrange', 'key', '0', '262144'],
  ])
  assert.throws(() => createRedisStore({ host: 'localhost' }), VKitConfigError)
}
