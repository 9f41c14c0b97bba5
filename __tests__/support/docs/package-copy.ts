import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { build } from 'esbuild'

const PACKAGE = JSON.parse(readFileSync('package.json', 'utf8')) as {
  readonly name: string
  readonly bin?: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, unknown>>>>
}

interface EntryPoint {
  readonly specifier: string
  /** The source file in lib/. */
  readonly source: string
  /** The files that `import` and `require` load, relative to the package. */
  readonly esm: string
  readonly cjs: string
}

/** Returns the entry points that package.json exports, with their source files. */
export function entryPoints(): EntryPoint[] {
  return Object.entries(PACKAGE.exports).flatMap(([name, conditions]) => {
    const esm = targetOf(conditions, 'import')
    const cjs = targetOf(conditions, 'require')
    if (!esm || !cjs) return []
    const source = esm.replace('dist/esm/', 'lib/').replace(/\.js$/, '.ts')
    return [{ specifier: path.posix.join(PACKAGE.name, name), source, esm, cjs }]
  })
}

function targetOf(conditions: unknown, kind: 'import' | 'require'): string | undefined {
  if (typeof conditions !== 'object' || conditions === null) return undefined
  const { [kind]: chosen } = conditions as Record<string, { readonly default?: string } | undefined>
  return chosen?.default?.replace(/^\.\//, '')
}

interface Command {
  readonly name: string
  /** The file, relative to the package. */
  readonly file: string
}

/** Returns the commands of package.json. */
export function commands(): Command[] {
  return Object.entries(PACKAGE.bin ?? {}).map(([name, file]) => ({ name, file: file.replace(/^\.\//, '') }))
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
  await Promise.all([
    bundle('esm', target),
    bundle('cjs', target),
    ...commands().map(each => bundleCommand(each, target)),
  ])
  return folder
}

/** Builds the files as scripts/build.mjs does, but also bundles the ESM files, which is faster. */
async function bundle(format: 'esm' | 'cjs', target: string): Promise<void> {
  await build({
    entryPoints: entryPoints().map(entry => ({
      in: entry.source,
      out: entry[format].replace(/\.(js|cjs)$/, ''),
    })),
    outdir: target,
    outExtension: { '.js': format === 'cjs' ? '.cjs' : '.js' },
    bundle: true,
    splitting: format === 'esm',
    platform: 'node',
    target: 'node20',
    format,
    ...(format === 'esm' ? { packages: 'external' } : { external: ['lru-cache'] }),
    logLevel: 'warning',
  })
}

async function bundleCommand({ file }: Command, target: string): Promise<void> {
  await build({
    entryPoints: [file.replace('dist/', 'lib/').replace(/\.js$/, '.ts')],
    outfile: path.join(target, file),
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    external: Object.keys(PACKAGE.dependencies),
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
    logLevel: 'warning',
  })
}
