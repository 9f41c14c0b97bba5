// Builds lib/ into dist/ from `exports` and `bin` of package.json. To add an entry point, add it there only.
//
// ESM: one file for each entry point, and shared chunks. Dependencies stay external.
// CommonJS: one file for each entry point. ESM-only packages are inlined, because `require` of them fails in Jest and in
// older Node 20.
// Commands: one ESM file each. Everything is inlined except dependencies of the package and files of dist/esm.
import { execFileSync } from 'node:child_process'
import { chmod, copyFile, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { build } from 'esbuild'

const { bin = {}, dependencies, exports } = JSON.parse(await readFile('package.json', 'utf8'))
const entries = Object.values(exports).filter(entry => entry.require)
/** Files of lib/, without their extension, that a command imports from dist/esm. */
const importedByCommands = new Set()
const SHARED = { bundle: true, platform: 'node', target: 'node20', metafile: true, legalComments: 'none' }

/** Keeps got in a separate file, which is loaded at the first mint. `require` of an entry point does not parse it. */
const gotInSeparateFile = {
  name: 'got-in-separate-file',
  setup({ onResolve }) {
    onResolve({ filter: /^got$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? { path: './got.cjs', external: true } : undefined,
    )
  },
}

/** Makes commands import the package's own files. Inlined files would be a third copy in the tarball. */
const libraryFromEsm = {
  name: 'library-from-esm',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\.?\// }, ({ path: specifier, resolveDir }) => {
      if (!isIn('lib/cli', resolveDir)) return undefined
      const file = path.resolve(resolveDir, specifier)
      if (isIn('lib/cli', file)) return undefined
      const name = path.relative('lib', file).replaceAll(path.sep, '/')
      importedByCommands.add(name.replace(/\.js$/, ''))
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

/** Builds `./dist/cjs/handlers.cjs` from `lib/handlers/index.ts`, which the `import` condition determines. */
async function bundleCommonJs() {
  const sources = entries.map(entry => [nameOf(entry.require.default), sourceOf(entry.import.default)])
  const options = {
    ...SHARED,
    outdir: 'dist/cjs',
    outExtension: { '.js': '.cjs' },
    format: 'cjs',
    external: ['lru-cache'],
    inject: ['scripts/node-globals.mjs'],
    plugins: [gotInSeparateFile],
    supported: { 'dynamic-import': false }, // Jest does not support it in CommonJS.
  }
  const ours = await build({ ...options, entryPoints: Object.fromEntries(sources) })
  // Without whitespace, got takes a third of the package less. Our own code keeps it, for readable stack traces.
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

/** Builds the files that `import` loads. One file for each file of lib/ would take twice the time to load. */
async function bundleEsm() {
  const sources = [
    ...new Set(targetsOf(exports).map(sourceOf)),
    ...[...importedByCommands].map(name => `lib/${name}.ts`),
  ]
  await build({
    ...SHARED,
    entryPoints: [...new Set(sources)],
    outbase: 'lib',
    outdir: 'dist/esm',
    // One folder below dist/esm, like the folders of lib/, because load-got.ts uses a path relative to its own file.
    chunkNames: 'chunks/[hash]',
    splitting: true,
    format: 'esm',
    packages: 'external',
  })
}

/** Returns every ESM file that package.json names. */
function targetsOf(conditions) {
  if (typeof conditions === 'string') return /^\.\/dist\/esm\/.*\.js$/.test(conditions) ? [conditions] : []
  return Object.values(conditions).flatMap(targetsOf)
}

/** Builds `./dist/cli/main.js` from `lib/cli/main.ts`. */
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
    // Inlined CommonJS packages call `require` for the modules of Node.
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

/** Keeps the declarations that an entry point imports, for `import`, and copies them next to the bundles for `require`. */
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
  const head = 'The bundled files in this folder contain code of these packages.'
  await writeFile(`${folder}/THIRD-PARTY-LICENSES.txt`, `${head}\n\n${texts.join('\n')}`)
}

async function licenceOf(folder) {
  const { name, version, license } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'))
  const file = (await readdir(folder)).find(entry => /^licen[cs]e/i.test(entry))
  if (!file) throw new Error(`${name} is inlined, but has no licence file`)
  const text = await readFile(path.join(folder, file), 'utf8')
  return `${'='.repeat(80)}\n${name} ${version} (${license})\n${'='.repeat(80)}\n${text.trim()}\n`
}
