// compile.mjs <compiler> <module> <moduleResolution> <extension> <program> [<types>]: compiles strictly, and runs.
// Conditions that Node gets (`--conditions`) apply to both.
import { execFileSync } from 'node:child_process'
import { copyFileSync, writeFileSync } from 'node:fs'

const [compiler, module, moduleResolution, extension, program, ...types] = process.argv.slice(2)
const customConditions = process.execArgv.map(option => option.replace('--conditions=', ''))
const name = [program, compiler, module, moduleResolution, ...types, ...customConditions].join('-')
const source = `${name}.${extension}`
copyFileSync(`${program}.ts`, source)
const compilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
  target: 'es2022',
  module,
  moduleResolution,
  types,
  ...(customConditions.length > 0 && { customConditions }),
  // Node's types declare URL and AbortSignal; without them, the DOM's types do.
  ...(types.length > 0 && { lib: ['es2022'] }),
}
writeFileSync(`${name}.json`, JSON.stringify({ compilerOptions, files: [source] }))
try {
  execFileSync(process.execPath, [`node_modules/${compiler}/bin/tsc`, '-p', `${name}.json`], { encoding: 'utf8' })
} catch (error) {
  console.error(error.stdout, error.stderr)
  process.exit(1)
}
execFileSync(process.execPath, [...process.execArgv, `${name}.${extension.replace('t', 'j')}`], { stdio: 'inherit' })
