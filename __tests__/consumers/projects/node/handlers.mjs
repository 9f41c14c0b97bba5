// Each copy of the handlers works with each copy of the client, and recognizes its errors.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import * as imported from '@video-io/videokit-nodejs'
import * as importedHandlers from '@video-io/videokit-nodejs/handlers'

const require = createRequire(import.meta.url)
const required = require('@video-io/videokit-nodejs')
const requiredHandlers = require('@video-io/videokit-nodejs/handlers')
assert.deepEqual(Object.keys(requiredHandlers).sort(), Object.keys(importedHandlers).sort())

const request = new Request('http://localhost/token')
for (const { VKitClient } of [imported, required]) {
  for (const { createFetchTokenHandler } of [importedHandlers, requiredHandlers]) {
    const vkit = new VKitClient()
    const response = await createFetchTokenHandler(vkit, { authenticate: () => process.env.CONSUMER })(request)
    assert.equal(response.status, 200)
    assert.equal((await response.json()).identity, process.env.CONSUMER)

    const outage = new VKitClient({ baseUrl: 'http://127.0.0.1:9', maxRetries: 0 })
    const onError = () => undefined
    const refusal = await createFetchTokenHandler(outage, { authenticate: () => 'user', onError })(request)
    assert.equal(refusal.status, 503)
    await vkit.close()
    await outage.close()
  }
}
