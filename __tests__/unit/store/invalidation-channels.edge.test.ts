import { expect, it } from '@jest/globals'
import { InvalidationChannels } from '../../../lib/store/invalidation-channels.edge.js'

it('an edge runtime neither sends nor receives invalidations, and has nothing to send again', async () => {
  const channels = new InvalidationChannels()
  expect([channels.canPublish, await channels.publish()]).toEqual([false, true])
})
