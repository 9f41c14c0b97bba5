import * as sdk from '@video-io/videokit-nodejs'
import { GatewayEmulator } from '@video-io/videokit-nodejs/testing'
import useSdk from './use-sdk.cjs'

test('mints', async () => {
  expect(await useSdk(sdk)).toHaveProperty('sessionToken')
})

test('mints from the emulator', async () => {
  const gateway = await new GatewayEmulator().start()
  const vkit = new sdk.VKitClient({ appSecret: gateway.appSecret, baseUrl: gateway.url })
  expect(await vkit.getSessionToken('user')).toHaveProperty('identity', 'user')
  expect(gateway.mints).toBe(1)
  await vkit.close()
  await gateway.stop()
})
