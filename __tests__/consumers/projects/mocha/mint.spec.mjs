import * as sdk from '@video-io/videokit-nodejs'
import * as testing from '@video-io/videokit-nodejs/testing'
import sinon from 'sinon'
import useFakeTimers from './use-fake-timers.cjs'
import useSdk from './use-sdk.cjs'

it('mints', () => useSdk(sdk))

it('mints under fake timers', async () => {
  let clock
  await useFakeTimers(sdk, testing, {
    // Without nextTick and queueMicrotask, no network request of Node ends.
    fake: () => (clock = sinon.useFakeTimers({ toNotFake: ['nextTick', 'queueMicrotask'] })),
    advance: ms => clock.tick(ms),
    restore: () => clock.restore(),
  })
})
