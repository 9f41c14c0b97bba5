const assert = require('node:assert/strict')

/** What the guide says of automocks, so that this test fails when a tool or the package changes it. */
module.exports = function useAutomock({ VKitError, VKitServerError }) {
  const error = new VKitServerError('down', { status: 503 })
  assert.equal(VKitError.is(error), false)
  assert.equal(VKitError.is(new Error('another error')), false)
  assert(!(error instanceof VKitError))
  assert(!error.code && !error.message)
}
