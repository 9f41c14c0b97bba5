// lib/ → dist/, as `exports` and `bin` of package.json say: an entry point is added there, and nowhere here.
//
// ESM as one file an entry point and the chunks that they share, with its dependencies left outside. CommonJS as one file an
// entry point, with the ESM-only packages inlined, for `require` of them fails in Jest and in older Node 20. A command as
// one ESM file, with everything inlined that is neither a dependency of the package nor a file of dist/esm.
import { execFileSync } from 'node:child_process'
import { chmod, copyFile, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { build } from 'esbuild'

const { bin = {}, dependencies, exports } = JSON.parse(await readFile('package.json', 'utf8'))
const entries = Object.values(exports).filter(entry => entry.require)
/** Files of lib/, without their extension, that a command imports from dist/esm. */
const ofCommands = new Set()
const SHARED = { bundle: true, platform: 'node', target: 'node20', metafile: true, legalComments: 'none' }

/** So that `require` of an entry point does not even parse got: it is loaded at the first mint. */
const gotInAFileOfItsOwn = {
  name: 'got-in-a-file-of-its-own',
  setup({ onResolve }) {
    onResolve({ filter: /^got$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? { path: './got.cjs', external: true } : undefined,
    )
  },
}

/** A command imports the package's own files: inlined, they would be a third copy of them in the tarball. */
const libraryFromEsm = {
  name: 'library-from-esm',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\.?\// }, ({ path: specifier, resolveDir }) => {
      if (!isIn('lib/cli', resolveDir)) return undefined
      const file = path.resolve(resolveDir, specifier)
      if (isIn('lib/cli', file)) return undefined
      const name = path.relative('lib', file).replaceAll(path.sep, '/')
      ofCommands.add(name.replace(/\.js$/, ''))
      return { path: `../esm/${name}`, external: true }
    })
  },
}

await rm('dist', { recursive: true, force: true })
const tsc = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--emitDeclarationOnly']
execFileSync(process.execPath, tsc, { stdio: 'inherit' })
await keepPublicDeclarations()
await bundleCommonJs()
await bundleCommands()
await bundleEsm()

/** `./dist/cjs/handlers.cjs` from `lib/handlers/index.ts`, whose ESM is what the `import` condition names. */
async function bundleCommonJs() {
  const sources = entries.map(entry => [nameOf(entry.require.default), sourceOf(entry.import.default)])
  const options = {
    ...SHARED,
    outdir: 'dist/cjs',
    outExtension: { '.js': '.cjs' },
    format: 'cjs',
    external: ['lru-cache'],
    inject: ['scripts/node-globals.mjs'],
    plugins: [gotInAFileOfItsOwn],
    supported: { 'dynamic-import': false }, // Jest has none in its CommonJS.
  }
  const ours = await build({ ...options, entryPoints: Object.fromEntries(sources) })
  // A third of the whole package less, and nobody reads it; ours stays as it is, for stack traces.
  const got = await build({
    ...options,
    entryPoints: ['got'],
    entryNames: 'got',
    minifyWhitespace: true,
    lineLimit: 200,
  })
  await writeFile('dist/cjs/package.json', '{ "type": "commonjs" }\n')
  await writeLicences('dist/cjs', [ours, got])
}

/** What `import` loads. A file for each of lib/ would take twice the time to load. */
async function bundleEsm() {
  const sources = [...new Set(targetsOf(exports).map(sourceOf)), ...[...ofCommands].map(name => `lib/${name}.ts`)]
  await build({
    ...SHARED,
    entryPoints: [...new Set(sources)],
    outbase: 'lib',
    outdir: 'dist/esm',
    // A folder below dist/esm, as those of lib/ are below it: load-got.ts names a file by its distance from its own.
    chunkNames: 'chunks/[hash]',
    splitting: true,
    format: 'esm',
    packages: 'external',
  })
}

/** Every ESM file that package.json names. */
function targetsOf(conditions) {
  if (typeof conditions === 'string') return /^\.\/dist\/esm\/.*\.js$/.test(conditions) ? [conditions] : []
  return Object.values(conditions).flatMap(targetsOf)
}

/** `./dist/cli/main.js` from `lib/cli/main.ts`. */
async function bundleCommands() {
  const files = Object.values(bin)
  if (files.length === 0) return
  const commands = await build({
    ...SHARED,
    entryPoints: files.map(sourceOf),
    outdir: 'dist/cli',
    format: 'esm',
    external: Object.keys(dependencies),
    plugins: [libraryFromEsm],
    // CommonJS packages, inlined, ask for Node's own modules by `require`.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
  })
  await writeLicences('dist/cli', [commands])
  await Promise.all(files.map(file => chmod(file, 0o755)))
}

function isIn(folder, file) {
  return !path.relative(folder, file).startsWith('..')
}

function nameOf(file) {
  return path.basename(file, path.extname(file))
}

function sourceOf(file) {
  return file.replace(/^\.\/dist\/(esm\/)?/, 'lib/').replace(/\.js$/, '.ts')
}

/** Ships the declarations that an entry point leads to, for `import` and, beside the bundles, for `require`. */
async function keepPublicDeclarations() {
  const kept = new Set()
  for (const entry of entries) await follow(path.normalize(entry.import.types), kept)
  for (const name of await readdir('dist/esm', { recursive: true })) {
    const file = path.join('dist/esm', name)
    if (!file.endsWith('.d.ts')) continue
    if (!kept.has(file)) await rm(file)
    else await copyTo(path.join('dist/cjs', name), file)
  }
}

async function follow(file, kept) {
  if (kept.has(file)) return
  kept.add(file)
  const text = await readFile(file, 'utf8')
  for (const [, specifier] of text.matchAll(/(?:from\s+|import\s*\(?\s*)['"](\.[^'"]+)\.js['"]/g)) {
    await follow(path.join(path.dirname(file), `${specifier}.d.ts`), kept)
  }
}

async function copyTo(target, source) {
  await mkdir(path.dirname(target), { recursive: true })
  await copyFile(source, target)
}

async function writeLicences(folder, builds) {
  const inputs = builds.flatMap(({ metafile }) => Object.keys(metafile.inputs))
  const packages = new Set(inputs.flatMap(file => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? []))
  if (packages.size === 0) return
  const texts = await Promise.all([...packages].sort().map(licenceOf))
  const head = 'The bundled files in this folder hold code of these packages.'
  await writeFile(`${folder}/THIRD-PARTY-LICENSES.txt`, `${head}\n\n${texts.join('\n')}`)
}

async function licenceOf(folder) {
  const { name, version, license } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'))
  const file = (await readdir(folder)).find(entry => /^licen[cs]e/i.test(entry))
  if (!file) throw new Error(`${name} is inlined, but has no licence file to ship`)
  const text = await readFile(path.join(folder, file), 'utf8')
  return `${'='.repeat(80)}\n${name} ${version} (${license})\n${'='.repeat(80)}\n${text.trim()}\n`
}
