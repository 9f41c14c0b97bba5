const assert = require('node:assert/strict')
const { renameSync } = require('node:fs')

/** Mints while `files` are hidden, which fails, and again after they are restored. */
module.exports = async function failFirstLoad({ VKitClient, VKitConnectionError }, files) {
  const identity = process.env.CONSUMER
  const vkit = new VKitClient({ maxRetries: 0 })
  const hidden = []
  try {
    for (const file of files) {
      renameSync(file, `${file}.hidden`)
      hidden.push(file)
    }
    const failure = await vkit.getSessionToken(identity).catch(error => error)
    assert(failure instanceof VKitConnectionError, String(failure))
    assert.equal(failure.code, 'VKIT_CONNECTION')
    assert.equal(failure.retryable, true)
    assert.match(failure.message, /got\) could not be loaded/)
  } finally {
    // The other consumers use the same folder.
    for (const file of hidden) renameSync(`${file}.hidden`, file)
  }
  assert.equal((await vkit.getSessionToken(identity)).identity, identity)
  await vkit.close()
}
