// Runs without got on the disk and without a secret in the environment: the package reads neither before it needs it.
const assert = require('node:assert/strict')
const { rmSync } = require('node:fs')
const path = require('node:path')

const dist = path.resolve(require.resolve('@video-io/videokit-nodejs'), '../..')
for (const chunk of ['cjs/chunks/got.cjs', 'esm/chunks/got.js']) rmSync(path.join(dist, chunk))
delete process.env.VKIT_APP_SECRET

async function check({ VKitClient, VKitError }) {
  const vkit = new VKitClient()
  const failure = await vkit.getSessionToken('user').catch(error => error)
  assert(VKitError.is(failure))
  assert.equal(failure.code, 'VKIT_CONFIG')
  assert.match(failure.message, /VKIT_APP_SECRET/)
}

check(require('@video-io/videokit-nodejs')).then(async () => check(await import('@video-io/videokit-nodejs')))
