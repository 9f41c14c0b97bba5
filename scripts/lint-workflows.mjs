// npm run lint:workflows [-- <file> ...]
//
// Checks the workflows in .github/ with the linter of GitHub's own editors: names, values and expressions.
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { build } from 'esbuild'

const FOLDER = '.github/workflows'

/** Bundled, because the package imports JSON in a way that Node no longer supports. */
const { outputFiles } = await build({
  stdin: { contents: "export { validate } from '@actions/languageservice'", resolveDir: import.meta.dirname },
  bundle: true,
  write: false,
  format: 'esm',
  platform: 'browser', // Without `require`.
})
const { validate } = await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`)

const given = process.argv.slice(2)
const files = given.length > 0 ? given : (await readdir(FOLDER)).map(name => path.posix.join(FOLDER, name))
for (const file of files) {
  const text = await readFile(file, 'utf8')
  for (const { message, range } of await validate({ uri: `file:///${file}`, getText: () => text })) {
    console.log(`${file}:${range.start.line + 1} ${message}`)
    process.exitCode = 1
  }
}
