const assert = require('node:assert/strict')

const HOUR = 3_600_000

/**
 * What holds under fake timers, in every tool and for both copies: the timers of the package are real, its wall clock is
 * the tool's `Date`. A call that waits for a fake timer never ends.
 */
module.exports = async function useFakeTimers({ VKitClient }, { GatewayEmulator }, { fake, advance, restore }) {
  const gateway = await new GatewayEmulator({ lifetimeMs: HOUR }).start()
  const makeClient = () => new VKitClient({ appSecret: gateway.appSecret, baseUrl: gateway.url })
  const older = makeClient()
  fake()
  try {
    for (const vkit of [older, makeClient()]) {
      await vkit.warmUp()
      gateway.failNext({ status: 503, delayMs: 1 })
      const token = await vkit.getSessionToken('user')
      assert.equal(await vkit.getSessionToken('user'), token)
      advance(2 * HOUR)
      assert.notEqual(await vkit.getSessionToken('user'), token)
      gateway.failNext({ silence: true })
      await assert.rejects(vkit.getSessionToken('other', { deadlineMs: 50 }), { code: 'VKIT_TIMEOUT' })
      await vkit.close()
    }
  } finally {
    restore()
    await gateway.stop()
  }
}
