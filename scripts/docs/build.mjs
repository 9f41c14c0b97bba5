// Writes the generated parts of the documentation. With --check, it only reports whether they are current.
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fillTables } from './pages.mjs'
import { makeReference } from './reference.mjs'

const REFERENCE = 'docs/reference'
const checking = process.argv.includes('--check')

const wanted = new Map([...(await makeReference(REFERENCE)), ...(await fillTables())])
const strays = (await listFiles(REFERENCE)).filter(file => !wanted.has(file))
const stale = []
for (const [file, text] of wanted) if ((await readFile(file, 'utf8').catch(() => undefined)) !== text) stale.push(file)

if (checking && stale.length + strays.length > 0) {
  console.error(`Out of date: ${[...stale, ...strays].join(', ')}. Run: npm run docs`)
  process.exitCode = 1
}
if (!checking) {
  for (const file of strays) await rm(file)
  for (const file of stale) {
    await mkdir(path.dirname(file), { recursive: true })
    await writeFile(file, wanted.get(file))
  }
  console.log(
    stale.length + strays.length > 0 ? `Written: ${[...stale, ...strays].join(', ')}` : 'All files are current.',
  )
}

async function listFiles(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.filter(entry => entry.isFile()).map(entry => path.posix.join(entry.parentPath, entry.name))
}
