const assert = require('node:assert/strict')
const { renameSync } = require('node:fs')

/** Mints while got's chunk is hidden, which fails, and again after it is restored. */
module.exports = async function failFirstLoad({ VKitClient, VKitConnectionError }, chunk) {
  const identity = process.env.CONSUMER
  const vkit = new VKitClient({ maxRetries: 0 })
  renameSync(chunk, `${chunk}.hidden`)
  try {
    const failure = await vkit.getSessionToken(identity).catch(error => error)
    assert(failure instanceof VKitConnectionError, String(failure))
    assert.equal(failure.code, 'VKIT_CONNECTION')
    assert.equal(failure.retryable, true)
    assert.match(failure.message, /got\) could not be loaded/)
  } finally {
    // The other consumers use the same folder.
    renameSync(`${chunk}.hidden`, chunk)
  }
  assert.equal((await vkit.getSessionToken(identity)).identity, identity)
  await vkit.close()
}
