import { describe, expect, it } from '@jest/globals'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

const LIB = path.resolve('lib')

/** The levels of docs/architecture.md. A file imports only from lower levels, or from its own folder below lib/. */
const LEVELS: readonly (readonly string[])[] = [
  ['own-members', 'utc', 'nearest-name', 'version', 'load-got', 'plain-json'],
  [
    'errors',
    'clock',
    'single-flight',
    'events',
    'token-request',
    'http-headers',
    'scrub',
    'retry-budget',
    'abort-listeners',
    'process-hold',
    'mutation-order',
    'lru',
  ],
  [
    'session-token',
    'gateway-answer',
    'network-error',
    'retry',
    'circuit',
    'secret-source',
    'flights',
    'semaphore',
    'cache-key',
    'browser-refusal',
    'secure-socket',
    'caller-stack',
  ],
  ['transport', 'shared-store', 'record-seal', 'freshness'],
  ['store-guard', 'shared-record', 'client-options'],
  ['sealed-store', 'token-cache', 'token-minter', 'token-batch', 'options'],
  ['client'],
  ['handlers/', 'cli/'],
  ['index', 'browser'],
]

/** The one leaf that other leaves may use: an event has an error's code, and a bad signal is refused with one. */
const LEAF_EXCEPTIONS = new Set(['events → errors', 'abort-listeners → errors'])

/** lib/testing/ uses types alone, and may use any: the emulator must not be made of what it tests. */
const TESTING = 'testing/'

/** A pure function of the lowest level that knows no token and no gateway: lib/testing/ may call it. */
const TESTING_EXCEPTIONS = new Set(['nearest-name'])

interface Import {
  readonly from: string
  readonly to: string
  readonly typeOnly: boolean
}

function listFiles(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return files.filter(file => file.endsWith('.ts')).map(file => file.replaceAll(path.sep, '/'))
}

function readImports(file: string): Import[] {
  const text = readFileSync(path.join(LIB, file), 'utf8')
  const pattern =
    /(?:^|\n)\s*(import|export)(\s+type)?\s(?:[^'"\n]|\n(?!\s*(?:import|export)\s))*?['"](\.[^'"]+)['"]|import\(['"](\.[^'"]+)['"]\)/g
  return [...text.matchAll(pattern)].map(([, , type, specifier, lazy]) => ({
    from: file.replace(/\.ts$/, ''),
    to: path.posix.join(path.posix.dirname(file), specifier ?? lazy ?? '').replace(/\.js$/, ''),
    typeOnly: type !== undefined,
  }))
}

function levelOf(module: string): number {
  return LEVELS.findIndex(level => level.some(name => (name.endsWith('/') ? module.startsWith(name) : module === name)))
}

function folderOf(module: string): string {
  return module.includes('/') ? (module.split('/')[0] ?? '') : ''
}

/** What is wrong with an import, if anything. */
function breach({ from, to, typeOnly }: Import): string | undefined {
  if (LEAF_EXCEPTIONS.has(`${from} → ${to}`)) return undefined
  if (folderOf(from) !== '' && folderOf(from) === folderOf(to)) return undefined
  if (from.startsWith(TESTING)) {
    return typeOnly || TESTING_EXCEPTIONS.has(to) ? undefined : `${from} uses ${to}, and not only its types`
  }
  if (to.startsWith(TESTING)) return from.startsWith('cli/') ? undefined : `${from} uses ${to}, which is for tests`
  return levelOf(from) > levelOf(to) ? undefined : `${from} (${levelOf(from)}) imports ${to} (${levelOf(to)})`
}

describe('the house', () => {
  const files = listFiles(LIB)
  const imports = files.flatMap(readImports)

  it('finds the imports that it is to judge', () => {
    expect(imports).toContainEqual({ from: 'client', to: 'token-cache', typeOnly: false })
    expect(imports.length).toBeGreaterThan(50)
  })

  it('gives every file a level', () => {
    const modules = files.map(file => file.replace(/\.ts$/, ''))
    expect(modules.filter(module => !module.startsWith(TESTING) && levelOf(module) < 0)).toEqual([])
  })

  it('imports only downwards, types too', () => {
    expect(imports.map(breach).filter(Boolean)).toEqual([])
  })

  it.each([
    { from: 'errors', to: 'client', typeOnly: true },
    { from: 'token-cache', to: 'token-minter', typeOnly: false },
    { from: 'transport', to: 'testing/fake-clock', typeOnly: false },
    { from: 'testing/gateway-emulator', to: 'errors', typeOnly: false },
    { from: 'testing/gateway-emulator', to: 'own-members', typeOnly: false },
  ])('would notice $from importing $to', edge => {
    expect(breach(edge)).toBeDefined()
  })

  it('has no cycles', () => {
    const graph = new Map(files.map(file => [file.replace(/\.ts$/, ''), new Set<string>()]))
    for (const { from, to } of imports) graph.get(from)?.add(to)
    const done = new Set<string>()
    const visit = (module: string, way: readonly string[]): void => {
      if (way.includes(module)) throw new Error(`cycle: ${[...way, module].join(' → ')}`)
      if (done.has(module)) return
      for (const next of graph.get(module) ?? []) visit(next, [...way, module])
      done.add(module)
    }
    expect(() => {
      for (const module of graph.keys()) visit(module, [])
    }).not.toThrow()
  })
})
