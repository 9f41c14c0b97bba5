// Bundles for browsers, or their workers, with the named bundler. The build succeeds, and creating a client throws a clear error.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import vm from 'node:vm'
import { build } from 'esbuild'
import webpack from 'webpack'

const bundlers = {
  esbuild: () => build({ entryPoints: ['page.mjs'], outfile: 'out-browser/page.js', bundle: true, format: 'iife' }),
  webpack: () => bundleWithWebpack('web'),
  'webpack-worker': () => bundleWithWebpack('webworker'),
}

await bundlers[process.argv[2]]()
const context = vm.createContext({})
context.window = context
const failure = vm.runInContext(
  `try { ${await readFile('out-browser/page.js', 'utf8')} } catch (error) { error }`,
  context,
)
assert.equal(failure?.code, 'VKIT_CONFIG')
assert.equal(failure.name, 'VKitConfigError')
assert.match(failure.message, /browser/)

function bundleWithWebpack(target) {
  const output = { path: path.resolve('out-browser'), filename: 'page.js' }
  return new Promise((resolve, reject) => {
    webpack({ mode: 'production', target, entry: './page.mjs', output }, (error, stats) => {
      const failure = error ?? (stats.hasErrors() ? new Error(stats.toString()) : undefined)
      failure ? reject(failure) : resolve()
    })
  })
}
