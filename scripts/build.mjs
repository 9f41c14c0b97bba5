// lib/ → dist/: ESM file by file, with its dependencies left outside; CommonJS as one file an entry point, with the
// ESM-only packages inlined, for `require` of them fails in Jest and in older Node 20.
import { execFileSync } from 'node:child_process'
import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { build } from 'esbuild'

const ENTRIES = { index: 'lib/index.ts', testing: 'lib/testing/index.ts' }

await rm('dist', { recursive: true, force: true })
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], { stdio: 'inherit' })

const { metafile } = await build({
  entryPoints: ENTRIES,
  outdir: 'dist/cjs',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  external: ['lru-cache'],
  metafile: true,
  legalComments: 'none',
  logLevel: 'warning',
})
await writeFile('dist/cjs/THIRD-PARTY-LICENSES.txt', await licencesOf(metafile))
await copyDeclarations()

/** The same declarations, made CommonJS ones by the package.json beside them. */
async function copyDeclarations() {
  await mkdir('dist/cjs', { recursive: true })
  await cp('dist/esm', 'dist/cjs', {
    recursive: true,
    filter: source => !path.extname(source) || source.endsWith('.d.ts'),
  })
  await writeFile('dist/cjs/package.json', '{ "type": "commonjs" }\n')
}

async function licencesOf({ inputs }) {
  const folders = new Set(Object.keys(inputs).flatMap(file => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? []))
  const texts = await Promise.all([...folders].sort().map(licenceOf))
  return `The CommonJS files hold code of these packages.\n\n${texts.join('\n')}`
}

async function licenceOf(folder) {
  const { name, version, license } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'))
  const file = (await readdir(folder)).find(entry => /^licen[cs]e/i.test(entry))
  if (!file) throw new Error(`${name} is inlined, but has no licence file to ship`)
  const text = await readFile(path.join(folder, file), 'utf8')
  return `${'='.repeat(80)}\n${name} ${version} (${license})\n${'='.repeat(80)}\n${text.trim()}\n`
}
