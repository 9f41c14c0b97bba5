const sdk = require('@video-io/videokit-nodejs')
const testing = require('@video-io/videokit-nodejs/testing')
const sinon = require('sinon')
const useFakeTimers = require('./use-fake-timers.cjs')
const useSdk = require('./use-sdk.cjs')

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
