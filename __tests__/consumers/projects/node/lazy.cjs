// Runs without got on the disk and without a secret in the environment: the package reads neither before it needs it.
const assert = require('node:assert/strict')
const { rmSync } = require('node:fs')
const path = require('node:path')

rmSync('node_modules/got', { recursive: true, force: true })
rmSync(path.join(path.dirname(require.resolve('@video-io/videokit-nodejs')), 'got.cjs'))
delete process.env.VKIT_APP_SECRET

async function check({ VKitClient, VKitError }) {
  const vkit = new VKitClient()
  const failure = await vkit.getSessionToken('user').catch(error => error)
  assert(VKitError.is(failure))
  assert.equal(failure.code, 'VKIT_CONFIG')
  assert.match(failure.message, /VKIT_APP_SECRET/)
}

check(require('@video-io/videokit-nodejs')).then(async () => check(await import('@video-io/videokit-nodejs')))
