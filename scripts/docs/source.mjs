// What the tables are made of: the declarations and docstrings in lib/, and lib/ itself, at work.
import { readFileSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import ts from 'typescript'

/** The statements of a file in lib/. */
export function parse(file) {
  return ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true)
}

/** The exported declaration of that name. */
export function declaration(file, name) {
  const found = parse(file).statements.find(each => each.name?.text === name)
  if (!found) throw new Error(`${file} declares no ${name}`)
  return found
}

/** The paragraphs of a declaration's docstring, each on one line. It may stand before a `|`: then say from where on. */
export function docstring(node, from = node.pos) {
  const before = node.getSourceFile().text.slice(Math.min(from, node.pos), node.getStart())
  const text = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*\|?\s*$/.exec(before)?.[1] ?? ''
  const plain = text.replace(/^\s*\* ?/gm, '').split(/\n\s*@\w+/)[0]
  return plain
    .split(/\n\s*\n/)
    .map(paragraph => paragraph.replace(/\s+/g, ' ').trim())
    .filter(Boolean)
}

const loaded = new Map()

/** lib/ as it is now, loaded; once, however many tables ask for it at a time. */
export function load(file) {
  if (!loaded.has(file)) loaded.set(file, bundleAndImport(file))
  return loaded.get(file)
}

async function bundleAndImport(file) {
  const folder = path.resolve('node_modules/.cache')
  const out = path.join(folder, `docs-source-${process.pid}-${path.basename(file, '.ts')}.mjs`)
  const { outputFiles } = await build({
    entryPoints: [file],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    packages: 'external',
  })
  await mkdir(folder, { recursive: true })
  await writeFile(out, outputFiles[0].text)
  try {
    return await import(pathToFileURL(out).href)
  } finally {
    await rm(out)
  }
}
