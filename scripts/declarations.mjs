// Writes the declarations that `types` and `types@<5.2` of package.json name, one file for each entry point, into an empty
// dist/.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { rollup } from 'rollup'
import { dts } from 'rollup-plugin-dts'

const { exports } = JSON.parse(await readFile('package.json', 'utf8'))
const entries = Object.values(exports).filter(entry => entry.require)

/** Before 5.2, TypeScript has neither `Symbol.asyncDispose` nor its lib. */
const ASYNC_DISPOSE = /(\n *\/\*\*(?:(?!\*\/)[^])*\*\/)?\n *\[Symbol\.asyncDispose\].*/g
const [OLD, NEW] = ['types@<5.2', 'types']

await rm('dist', { recursive: true, force: true })
for (const { fileName, code } of await bundle()) {
  await write(path.join(folderOf(OLD), fileName), code.replaceAll(ASYNC_DISPOSE, ''))
  await write(path.join(folderOf(NEW), fileName), addedTo(fileName, code))
}
for (const condition of [OLD, NEW]) {
  for (const entry of entries) await write(entry.import[condition], exportAll(entry, condition))
}

function folderOf(condition) {
  return path.dirname(entries[0].require[condition])
}

/** The declarations for old versions, and what they leave out: a second copy of all would take 4 % of the package. */
function addedTo(fileName, code) {
  const old = `./${path.relative(folderOf(NEW), folderOf(OLD))}/${fileName.replace('.d.cts', '.cjs')}`
  const members = [...code.matchAll(ASYNC_DISPOSE)].map(({ 0: member, index }) => {
    const [className] = code.slice(0, index).match(/(?<=\bclass )\w+(?![^]*\bclass \w)/)
    return `declare module '${old}' {\n  interface ${className} {${member}\n  }\n}\n`
  })
  const client = nameOf(entries[0].require[NEW])
  const loadsClient = nameOf(fileName) === client ? '' : `import './${client}.cjs'\n`
  return `/// <reference lib="esnext.disposable" />\n${loadsClient}export * from '${old}'\n${members.join('')}`
}

async function bundle() {
  const input = Object.fromEntries(entries.map(entry => [nameOf(entry.require.types), sourceOf(entry.import.types)]))
  const rooms = Object.values(input).map(source => path.resolve(path.dirname(source)))
  const { generate } = await rollup({ input, plugins: [dts({ tsconfig: 'tsconfig.build.json' })] })
  const { output } = await generate({
    entryFileNames: '[name].d.cts',
    chunkFileNames: '[name].d.cts',
    // Everything that is not in the room of another entry point, so that no name comes from an internal file.
    manualChunks: id => (rooms.indexOf(path.dirname(id)) > 0 ? undefined : nameOf(entries[0].require.types)),
  })
  return output
}

/** `import` exports the declarations for `require`: a second declaration of a class with `#private` is another type. */
function exportAll(entry, condition) {
  const target = path.posix.relative(path.posix.dirname(entry.import[condition]), entry.require[condition])
  return `export * from '${target.replace(/\.d\.cts$/, '.cjs')}'\n`
}

/** Returns `handlers` for `./dist/cjs/handlers.d.cts`. */
function nameOf(file) {
  return path.basename(file, '.d.cts')
}

/** Returns `lib/handlers/index.ts` for `./dist/esm/handlers/index.d.ts`. */
function sourceOf(file) {
  return file.replace(/^\.\/dist\/esm\//, 'lib/').replace(/\.d\.ts$/, '.ts')
}

async function write(file, text) {
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(file, text)
}
