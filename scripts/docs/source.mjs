// The sources of the tables: the declarations and docstrings in lib/, and the running code of lib/.
import { readFileSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import ts from 'typescript'

/** Parses a file in lib/. */
export function parse(file) {
  return ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true)
}

/** Returns the declaration with that name. */
export function declaration(file, name) {
  const found = parse(file).statements.find(each => each.name?.text === name)
  if (!found) throw new Error(`${file} does not declare ${name}`)
  return found
}

/** Returns the paragraphs of a docstring, each on one line. If the docstring is before a `|`, pass its start as `from`. */
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

/** Loads a module of lib/ from its source, only once for all tables. */
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
