// Node's permission model denies connections, by address and by name. The errors name the flag.
import assert from 'node:assert/strict'
import { VKitClient, VKitConnectionError } from '@video-io/videokit-nodejs'

const byAddress = process.env.VKIT_BASE_URL
for (const baseUrl of [byAddress, byAddress.replace('127.0.0.1', 'localhost')]) {
  const vkit = new VKitClient({ baseUrl })
  for (const call of [() => vkit.warmUp(), () => vkit.getSessionToken('user')]) {
    const failure = await call().catch(error => error)
    assert(failure instanceof VKitConnectionError, String(failure))
    assert.equal(failure.retryable, false)
    assert.match(failure.message, /start Node with --allow-net \(ERR_ACCESS_DENIED\)/)
  }
  assert.equal(vkit.stats().retries, 0)
}
