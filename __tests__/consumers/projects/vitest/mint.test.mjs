import * as sdk from '@video-io/videokit-nodejs'
import * as testing from '@video-io/videokit-nodejs/testing'
import { createRequire } from 'node:module'
import { expect, test, vi } from 'vitest'
import useFakeTimers from './use-fake-timers.cjs'
import useSdk from './use-sdk.cjs'

const require = createRequire(import.meta.url)

test('mints', async () => {
  expect(await useSdk(sdk)).toHaveProperty('sessionToken')
})

test('mints from the emulator', async () => {
  const gateway = await new testing.GatewayEmulator().start()
  const vkit = new sdk.VKitClient({ appSecret: gateway.appSecret, baseUrl: gateway.url })
  expect(await vkit.getSessionToken('user')).toHaveProperty('identity', 'user')
  await vkit.close()
  await gateway.stop()
})

test.each([
  ['import', sdk, testing],
  ['require', require('@video-io/videokit-nodejs'), require('@video-io/videokit-nodejs/testing')],
])('mints under fake timers: %s', async (_, ...copy) => {
  await useFakeTimers(...copy, {
    fake: () => vi.useFakeTimers(),
    advance: ms => vi.advanceTimersByTime(ms),
    restore: () => vi.useRealTimers(),
  })
})
