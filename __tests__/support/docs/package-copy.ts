import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'

const PACKAGE = JSON.parse(readFileSync('package.json', 'utf8')) as {
  readonly name: string
  readonly bin?: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, unknown>>>>
}

interface EntryPoint {
  readonly specifier: string
  /** The source file in lib/. */
  readonly source: string
}

/** Returns the entry points that package.json exports, with their source files. */
export function entryPoints(): EntryPoint[] {
  return Object.entries(PACKAGE.exports).flatMap(([name, conditions]) => {
    const file = importTargetOf(conditions)
    if (!file) return []
    const source = file.replace('./dist/esm/', 'lib/').replace(/\.js$/, '.ts')
    return [{ specifier: path.posix.join(PACKAGE.name, name), source }]
  })
}

function importTargetOf(conditions: unknown): string | undefined {
  if (typeof conditions !== 'object' || conditions === null) return undefined
  return (conditions as { readonly import?: { readonly default?: string } }).import?.default
}

interface Command {
  readonly name: string
  /** The file, relative to the package. */
  readonly file: string
}

/** Returns the commands of package.json. */
export function commands(): Command[] {
  return Object.entries(PACKAGE.bin ?? {}).map(([name, file]) => ({ name, file }))
}

/** Returns the path of `file` of the package in the folder that `installCopy` created. */
export function installedAt(folder: string, file = ''): string {
  return path.join(folder, 'node_modules', PACKAGE.name, file)
}

/** Creates a folder in node_modules of this repository, with the package installed as it is now in lib/. */
export async function installCopy(): Promise<string> {
  const cache = path.resolve('node_modules/.cache')
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(path.join(cache, 'docs-'))
  const target = installedAt(folder)
  mkdirSync(target, { recursive: true })
  writeFileSync(path.join(folder, 'package.json'), '{ "private": true }\n')
  writeFileSync(path.join(target, 'package.json'), readFileSync('package.json'))
  await promisify(execFile)(process.execPath, ['scripts/bundle.mjs', path.join(target, 'dist')])
  return folder
}
