const sdk = require('@video-io/videokit-nodejs')
const testing = require('@video-io/videokit-nodejs/testing')
const useFakeTimers = require('./use-fake-timers.cjs')
const useSdk = require('./use-sdk.cjs')

test('mints', async () => {
  expect(await useSdk(sdk)).toHaveProperty('sessionToken')
})

test('mints from the emulator', async () => {
  const gateway = await new testing.GatewayEmulator().start()
  const vkit = new sdk.VKitClient({ appSecret: gateway.appSecret, baseUrl: gateway.url })
  expect(await vkit.getSessionToken('user')).toHaveProperty('identity', 'user')
  expect(gateway.mints).toBe(1)
  await vkit.close()
  await gateway.stop()
})

test('mints under fake timers', async () => {
  await useFakeTimers(sdk, testing, {
    fake: () => jest.useFakeTimers(),
    advance: ms => jest.advanceTimersByTime(ms),
    restore: () => jest.useRealTimers(),
  })
})
