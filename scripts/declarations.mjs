// Writes the declarations of the entry points into an empty dist/.
import { execFileSync } from 'node:child_process'
import { copyFile, mkdir, readFile, readdir, rm } from 'node:fs/promises'
import path from 'node:path'

const { exports } = JSON.parse(await readFile('package.json', 'utf8'))
const entries = Object.values(exports).filter(entry => entry.require)

await rm('dist', { recursive: true, force: true })
const tsc = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--emitDeclarationOnly']
execFileSync(process.execPath, tsc, { stdio: 'inherit' })
await keepPublicDeclarations()

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
