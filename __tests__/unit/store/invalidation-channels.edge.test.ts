import { expect, it } from '@jest/globals'
import { InvalidationChannels } from '../../../lib/store/invalidation-channels.edge.js'
import { deriveStoreKeys } from '../../../lib/store/record-crypto.js'

it('an edge runtime neither sends nor receives invalidations, and has nothing to send again', async () => {
  const channels = new InvalidationChannels({ onInvalidation: () => undefined })
  channels.use(await deriveStoreKeys('an app secret'))
  const invalidation = { request: { identity: 'alice', scopes: [] }, untilMs: 1, sessionToken: undefined }
  expect([channels.canPublish, await channels.publish(invalidation)]).toEqual([false, true])
  channels.close()
})
