// Builds a single executable application and runs it. In such an application, `require` finds only Node's modules.
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { build } from 'esbuild'
import { inject } from 'postject'

await build({ entryPoints: ['main.mjs'], outfile: 'out/main.cjs', bundle: true, platform: 'node', target: 'node20' })
writeFileSync('out/sea.json', JSON.stringify({ main: 'out/main.cjs', output: 'out/app.blob' }))
execFileSync(process.execPath, ['--experimental-sea-config', 'out/sea.json'])

const app = path.resolve('out/app')
copyFileSync(process.execPath, app)
chmodSync(app, 0o755)
await inject(app, 'NODE_SEA_BLOB', readFileSync('out/app.blob'), {
  sentinelFuse: 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2',
})
execFileSync(app, { stdio: 'inherit' })
