import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { measureColdStart } from './cold-start.mjs'
import { line } from './lines.mjs'
import { makeProject, run } from './project.mjs'

const modules = path.resolve(import.meta.dirname, '../../node_modules')

/** The budgets of the package. Raise one only for a benefit that the commit names, never because a check failed. */
const BUDGETS = {
  tarballKB: 350,
  unpackedKB: 1400,
  runtimePackages: 0,
  loadToStripe: 0.5,
  processToBare: 2,
  // Measured 156.8 and 53.4, + 10 %.
  workerKB: 172,
  workerGzipKB: 58.7,
}

const SHIPPED =
  /^(dist\/(esm|cjs|cli|edge)\/.*|dist\/(THIRD-PARTY-LICENSES\.txt|sbom\.cdx\.json)|package\.json|README\.md|CHANGELOG\.md|SECURITY\.md|LICENSE)$/

/** Installs the tarball, and returns the folder of the project and that of the package in it. */
export async function install({ tarball, workshop }) {
  const folder = path.join(workshop, 'package')
  await makeProject(folder, { tarball })
  return { folder, root: path.join(folder, 'node_modules/@video-io/videokit-nodejs') }
}

/** Checks the package itself, and returns the lines of the report. */
export async function checkPackage({ tarball, folder, root }) {
  const of = check => () => check({ tarball, folder, root })
  return [
    await line('publint, strict', () => tool('publint/src/cli.js', [tarball, '--strict'])),
    await line('attw', () => tool('@arethetypeswrong/cli/dist/index.js', [tarball])),
    await line('package: what is shipped', of(checkFiles)),
    await line('package: public types', of(checkTypes)),
    await line('budget: tarball', of(checkTarball)),
    await line('budget: unpacked', of(checkUnpacked)),
    await line('budget: runtime packages', of(checkDependencies)),
    await line('budget: Worker', of(checkWorker)),
  ]
}

/** Compares the time to load the package with that of stripe. */
export async function checkColdStarts({ workshop, folder }) {
  return [
    await line('budget: cold require', () => checkColdStart(workshop, folder, 'require')),
    await line('budget: cold import', () => checkColdStart(workshop, folder, 'import')),
  ]
}

async function tool(file, args) {
  await run(process.execPath, [path.join(modules, file), ...args])
}

/** Returns the files of a folder, relative to it, with slashes. */
export async function filesOf(root) {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  return entries
    .filter(entry => entry.isFile())
    .map(entry => path.relative(root, path.join(entry.parentPath, entry.name)).replaceAll(path.sep, '/'))
}

async function checkFiles({ root }) {
  const files = await filesOf(root)
  const strange = files.filter(file => !SHIPPED.test(file))
  if (strange.length > 0) throw new Error(`must not be shipped: ${strange.join(', ')}`)
  const needed = [
    'LICENSE',
    'README.md',
    'CHANGELOG.md',
    'SECURITY.md',
    'dist/THIRD-PARTY-LICENSES.txt',
    'dist/sbom.cdx.json',
  ]
  const missing = needed.filter(file => !files.includes(file))
  if (missing.length > 0) throw new Error(`missing: ${missing.join(', ')}`)
  return `${files.length} files`
}

/** A user may have neither Node's types nor, for CommonJS, the types of the inlined packages. */
async function checkTypes({ root }) {
  const files = (await filesOf(root)).filter(file => /\.d\.c?ts$/.test(file))
  for (const file of files) {
    const text = await readFile(path.join(root, file), 'utf8')
    const foreign = /(?:from|import\()\s*['"]([^.'"][^'"]*)|<reference types=|NodeJS\.|\bBuffer\b/.exec(
      text.replace(/\/\*[^]*?\*\//g, ''),
    )
    if (foreign) throw new Error(`${file} needs ${foreign[1] ?? foreign[0]}`)
  }
  return `${files.length} declarations, which import only each other`
}

async function checkTarball({ tarball }) {
  return within((await stat(tarball)).size / 1000, BUDGETS.tarballKB, 'kB')
}

async function checkUnpacked({ root }) {
  const sizes = await Promise.all((await filesOf(root)).map(async file => (await stat(path.join(root, file))).size))
  return within(sizes.reduce((sum, size) => sum + size) / 1000, BUDGETS.unpackedKB, 'kB')
}

async function checkDependencies({ folder }) {
  const { packages } = JSON.parse(await readFile(path.join(folder, 'node_modules/.package-lock.json'), 'utf8'))
  return within(Object.keys(packages).length - 1, BUDGETS.runtimePackages, 'packages besides this one')
}

/** A Worker with a token endpoint, bundled and minified as wrangler does. */
async function checkWorker({ folder }) {
  const contents = `
    import { VKitClient } from '@video-io/videokit-nodejs'
    import { createFetchTokenHandler } from '@video-io/videokit-nodejs/handlers'
    export default { fetch: createFetchTokenHandler(new VKitClient(), { authenticate: () => 'user' }) }`
  const bundle = { bundle: true, write: false, minify: true, format: 'esm', target: 'es2024', keepNames: true }
  const conditions = ['workerd', 'worker', 'browser']
  const { outputFiles } = await build({ stdin: { contents, resolveDir: folder }, ...bundle, conditions })
  const [{ contents: bytes }] = outputFiles
  const plain = within(bytes.length / 1000, BUDGETS.workerKB, 'kB')
  return `${plain}, gzip ${within(gzipSync(bytes).length / 1000, BUDGETS.workerGzipKB, 'kB')}`
}

async function checkColdStart(workshop, folder, how) {
  const stripe = path.join(workshop, 'stripe')
  await makeProject(stripe, { packages: { stripe: '23.1.0' } })
  const { bare, ours, theirs } = await measureColdStart({ how, ours: folder, theirs: stripe })
  const ms = value => `${value.toFixed(1)} ms`
  const toStripe = ours.load / theirs.load
  const toBare = ours.process / bare.process
  const note = `${ms(ours.load)} of CPU time, ${toStripe.toFixed(2)} of stripe's ${ms(theirs.load)}; the process takes ${toBare.toFixed(2)} of a bare one's ${ms(bare.process)}`
  if (toStripe > BUDGETS.loadToStripe || toBare > BUDGETS.processToBare) throw new Error(`too slow: ${note}`)
  return `${note} (at most ${BUDGETS.loadToStripe} and ${BUDGETS.processToBare})`
}

function within(value, budget, unit) {
  const note = `${Number(value.toFixed(1))} of ${budget} ${unit}`
  if (value > budget) throw new Error(`over budget: ${note}`)
  return note
}
