// The size of an installation of a package: the package, and each of its dependencies once.
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const BENCH = fileURLToPath(new URL('..', import.meta.url))

export async function sizeOf(name) {
  const folders = new Set()
  await collect(name, BENCH, folders)
  const sizes = await Promise.all([...folders].map(folder => bytesIn(folder)))
  return { packages: folders.size, bytes: sizes.reduce((sum, size) => sum + size, 0) }
}

async function collect(name, from, folders) {
  const folder = await find(name, from)
  // A missing optional or peer dependency is not part of the installation.
  if (!folder || folders.has(folder)) return
  folders.add(folder)
  const { dependencies, optionalDependencies } = await manifest(folder)
  for (const each of Object.keys({ ...dependencies, ...optionalDependencies })) await collect(each, folder, folders)
}

/** Finds a package as Node does: in `node_modules` of the folder and of each parent folder. */
async function find(name, from) {
  for (let at = from; ; at = path.dirname(at)) {
    const folder = await realpath(path.join(at, 'node_modules', name)).catch(() => undefined)
    if (folder) return folder
    if (at === path.dirname(at)) return undefined
  }
}

async function manifest(folder) {
  return JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'))
}

/** Counts the published files. In a checkout, the `files` field lists them. */
async function bytesIn(folder) {
  const { files } = await manifest(folder)
  const isCheckout = await stat(path.join(folder, 'node_modules', '.package-lock.json')).catch(() => undefined)
  const roots = isCheckout && files ? [...files, 'package.json', 'README.md', 'LICENSE'] : ['.']
  const sizes = await Promise.all(roots.map(root => bytesOf(path.join(folder, root))))
  return sizes.reduce((sum, size) => sum + size, 0)
}

async function bytesOf(file) {
  const stats = await stat(file)
  if (!stats.isDirectory()) return stats.size
  const entries = (await readdir(file)).filter(entry => entry !== 'node_modules')
  const sizes = await Promise.all(entries.map(entry => bytesOf(path.join(file, entry))))
  return sizes.reduce((sum, size) => sum + size, 0)
}
