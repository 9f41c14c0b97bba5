import { jest } from '@jest/globals'
import * as sdk from '@video-io/videokit-nodejs'
import * as testing from '@video-io/videokit-nodejs/testing'
import useFakeTimers from './use-fake-timers.cjs'
import useSdk from './use-sdk.cjs'

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
