// Runs a bundled Lambda handler from a folder without node_modules, as the cloud does. Then compares its errors with
// those of the `import` and the `require` copy.
import assert from 'node:assert/strict'
import { cp, mkdtemp } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import * as imported from '@video-io/videokit-nodejs'
import useSdk from './use-sdk.cjs'

const [bundle] = process.argv.slice(2)
const folder = await mkdtemp(path.join(tmpdir(), 'lambda-'))
const file = path.join(folder, path.basename(bundle))
await cp(path.dirname(bundle), folder, { recursive: true })
const require = createRequire(import.meta.url)
const loaded = file.endsWith('.cjs') ? require(file) : await import(file)
// rollup exports what a CommonJS entry exports as the default.
const { handler, sdk: bundled } = loaded.default ?? loaded
const { identity } = JSON.parse((await handler()).body)
assert.equal(identity, process.env.CONSUMER)
await useSdk(bundled)

const required = require('@video-io/videokit-nodejs')
const copies = { imported, required, bundled }
for (const [name, maker] of Object.entries(copies)) {
  const failure = await new maker.VKitClient({ appSecret: 'secret' }).getSessionToken('').catch(error => error)
  for (const [other, { VKitError, VKitArgumentError, VKitConfigError }] of Object.entries(copies)) {
    const where = `an error of the ${name} copy, checked by the ${other} copy`
    assert(VKitError.is(failure), where)
    assert(failure instanceof VKitError, where)
    assert(failure instanceof VKitArgumentError, where)
    assert(!(failure instanceof VKitConfigError), where)
  }
}
assert.notEqual(imported.VKitError, required.VKitError)
assert.notEqual(imported.VKitError, bundled.VKitError)
