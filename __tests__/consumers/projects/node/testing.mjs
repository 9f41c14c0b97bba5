// Uses the emulator and the clock that the package provides for tests, from both copies.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import * as imported from '@video-io/videokit-nodejs/testing'
import { VKitClient } from '@video-io/videokit-nodejs'

const required = createRequire(import.meta.url)('@video-io/videokit-nodejs/testing')
assert.deepEqual(Object.keys(required).sort(), Object.keys(imported).sort())

for (const { FakeClock, GatewayEmulator } of [imported, required]) {
  const clock = new FakeClock()
  const gateway = await new GatewayEmulator({ clock }).start()
  const vkit = new VKitClient({ appSecret: gateway.appSecret, baseUrl: gateway.url, clock })
  const token = await vkit.getSessionToken('user')
  await clock.advance(2 * 3_600_000)
  assert.notEqual((await vkit.getSessionToken('user')).sessionToken, token.sessionToken)
  assert.equal(gateway.mints, 2)
  await vkit.close()
  await gateway.stop()
}
