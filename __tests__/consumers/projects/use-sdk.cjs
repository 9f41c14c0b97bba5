const assert = require('node:assert/strict')

/** What every consumer does with the package, however it loads it. The runner checks at its gateway that it minted. */
module.exports = async function useSdk({ VKitClient, VKitError, VKitArgumentError, VKitConfigError }) {
  const identity = process.env.CONSUMER
  const vkit = new VKitClient()
  await vkit.warmUp()
  const token = await vkit.getSessionToken(identity)
  assert.equal(token.identity, identity)
  assert.match(token.sessionToken, /^[\w-]+\.[\w-]+\.[\w-]+$/)
  assert.match(token.expiresAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/)
  assert.equal(await vkit.getSessionToken(identity), token)

  const failure = await vkit.getSessionToken('').catch(error => error)
  assert(VKitError.is(failure) && failure instanceof VKitError && failure instanceof VKitArgumentError)
  assert(!(failure instanceof VKitConfigError))
  assert.equal(failure.name, 'VKitArgumentError')
  await vkit.close()
  return token
}
