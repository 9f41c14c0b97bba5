// npm run lint:workflows [-- <file> ...]
//
// Checks the workflows in .github/ with the linter of GitHub's own editors: names, values and expressions.
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { importBundled } from './import-bundled.mjs'

const FOLDER = '.github/workflows'

// The build for browsers is without `require`.
const { validate } = await importBundled("export { validate } from '@actions/languageservice'", 'browser')

const given = process.argv.slice(2)
const files = given.length > 0 ? given : (await readdir(FOLDER)).map(name => path.posix.join(FOLDER, name))
for (const file of files) {
  const text = await readFile(file, 'utf8')
  for (const { message, range } of await validate({ uri: `file:///${file}`, getText: () => text })) {
    console.log(`${file}:${range.start.line + 1} ${message}`)
    process.exitCode = 1
  }
}
