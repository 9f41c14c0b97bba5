import * as sdk from '@video-io/videokit-nodejs'
import { GatewayEmulator } from '@video-io/videokit-nodejs/testing'
import { expect, test } from 'vitest'
import useSdk from './use-sdk.cjs'

test('mints', async () => {
  expect(await useSdk(sdk)).toHaveProperty('sessionToken')
})

test('mints from the emulator', async () => {
  const gateway = await new GatewayEmulator().start()
  const vkit = new sdk.VKitClient({ appSecret: gateway.appSecret, baseUrl: gateway.url })
  expect(await vkit.getSessionToken('user')).toHaveProperty('identity', 'user')
  await vkit.close()
  await gateway.stop()
})
