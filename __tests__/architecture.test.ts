import { describe, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { listFiles } from './support/list-files.js'

const LIB = 'lib'

/**
 * The rooms of docs/architecture.md, lowest first. A file imports only from its own room and from lower rooms.
 * Imports of types count. A room is a folder of lib/, or a file directly in lib/.
 */
const ROOMS: readonly (readonly string[])[] = [
  ['core'],
  ['token', 'secret'],
  ['gateway', 'store'],
  ['cache'],
  ['options'],
  ['batch'],
  ['client'],
  ['handlers', 'cli'],
  ['index', 'browser'],
]

/** Imports only types, from any room, because the emulator must not use the code that it tests. Only `cli` imports it. */
const TESTING = 'testing'

/** Contains nothing specific to this project, so the emulator may call it. */
const CALLED_BY_TESTING = 'core/nearest-name'

/** `x.edge.ts` takes the place of `x.ts` in the build for the edge. */
const EDGE = '.edge'

interface Import {
  readonly from: string
  readonly to: string
  readonly typeOnly: boolean
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

function roomOf(module: string): string {
  return module.split('/')[0] ?? ''
}

function rankOf(module: string): number {
  return ROOMS.findIndex(rooms => rooms.includes(roomOf(module)))
}

/** Returns why an import is not allowed, or undefined if it is allowed. */
function findViolation({ from, to, typeOnly }: Import): string | undefined {
  const [room, imported] = [roomOf(from), roomOf(to)]
  if (room === imported) return undefined
  if (room === TESTING) {
    return typeOnly || to === CALLED_BY_TESTING ? undefined : `${from} imports more than types from ${to}`
  }
  if (imported === TESTING) return room === 'cli' ? undefined : `${from} imports ${to}, which is for tests`
  return rankOf(from) > rankOf(to) ? undefined : `${from} imports ${to}: ${room} is not above ${imported}`
}

/** Returns what a module exports, types included. */
function exportedNames(module: string): string[] {
  const file = ts.createSourceFile(module, readFileSync(path.join(LIB, `${module}.ts`), 'utf8'), ts.ScriptTarget.Latest)
  return file.statements.flatMap(namesOf).sort()
}

function namesOf(statement: ts.Statement): string[] {
  if (ts.isExportDeclaration(statement)) {
    const { exportClause } = statement
    return exportClause && ts.isNamedExports(exportClause) ? exportClause.elements.map(({ name }) => name.text) : ['*']
  }
  const isExported =
    ts.canHaveModifiers(statement) &&
    ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)
  if (!isExported) return []
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => (ts.isIdentifier(name) ? name.text : '?'))
  }
  return [(statement as ts.DeclarationStatement).name?.text ?? '?']
}

/** Returns the modules that `entries` load at the edge. */
function modulesAtEdge(entries: readonly string[], imports: readonly Import[], modules: ReadonlySet<string>): string[] {
  const loaded = new Set<string>()
  const load = (module: string): void => {
    const found = modules.has(module + EDGE) ? module + EDGE : module
    if (loaded.has(found) || !modules.has(found)) return
    loaded.add(found)
    for (const { from, to, typeOnly } of imports) if (from === found && !typeOnly) load(to)
  }
  entries.forEach(load)
  return [...loaded]
}

function findCycle(imports: readonly Import[]): string | undefined {
  const graph = new Map<string, string[]>()
  for (const { from, to } of imports) graph.set(from, [...(graph.get(from) ?? []), to])
  const done = new Set<string>()
  const visit = (module: string, path: readonly string[]): string | undefined => {
    if (path.includes(module)) return [...path.slice(path.indexOf(module)), module].join(' → ')
    if (done.has(module)) return undefined
    for (const to of graph.get(module) ?? []) {
      const cycle = visit(to, [...path, module])
      if (cycle !== undefined) return cycle
    }
    done.add(module)
    return undefined
  }
  for (const module of graph.keys()) {
    const cycle = visit(module, [])
    if (cycle !== undefined) return cycle
  }
  return undefined
}

describe('the architecture of lib', () => {
  const files = listFiles(LIB, /\.ts$/).map(file => path.posix.relative(LIB, file))
  const imports = files.flatMap(readImports)

  it('has imports to check', () => {
    expect(imports).toContainEqual({ from: 'client', to: 'cache/token-cache', typeOnly: false })
    expect(new Set(imports.map(({ from }) => from)).size).toBeGreaterThan(files.length / 2)
  })

  it('has a room for every file', () => {
    const modules = files.map(file => file.replace(/\.ts$/, ''))
    expect(modules.filter(module => roomOf(module) !== TESTING && rankOf(module) < 0)).toEqual([])
  })

  it('imports only from lower rooms, including types', () => {
    expect(imports.map(findViolation).filter(Boolean)).toEqual([])
  })

  it.each([
    { from: 'core/errors', to: 'client', typeOnly: true },
    { from: 'cache/token-cache', to: 'options/client-options', typeOnly: true },
    { from: 'store/record', to: 'gateway/response', typeOnly: false },
    { from: 'secret/secret-source', to: 'token/session-token', typeOnly: true },
    { from: 'cli/run', to: 'handlers/index', typeOnly: false },
    { from: 'gateway/got-transport', to: 'testing/fake-clock', typeOnly: false },
    { from: 'testing/gateway-emulator', to: 'core/errors', typeOnly: false },
    { from: 'testing/gateway-emulator', to: 'core/own-properties', typeOnly: false },
    { from: 'attic/errors', to: 'core/errors', typeOnly: false },
  ])('does not allow $from to import $to', edge => {
    expect(findViolation(edge)).toBeDefined()
  })

  it('imports only types from got, which is loaded at the first mint', () => {
    const eager = /^(?:import|export)(?! type)[^'"\n]* from ['"]got['"]/m
    expect(files.filter(file => eager.test(readFileSync(path.join(LIB, file), 'utf8')))).toEqual([])
  })

  describe('at the edge', () => {
    const modules = new Set(files.map(file => file.replace(/\.ts$/, '')))
    const edgeFiles = [...modules].filter(module => module.endsWith(EDGE))
    const loaded = modulesAtEdge(['index', 'handlers/index'], imports, modules)

    it('has edge files to check', () => {
      expect(edgeFiles).toContain('core/machine.edge')
      expect(loaded).toEqual(expect.arrayContaining(['core/machine.edge', 'cache/token-cache', 'core/own-properties']))
    })

    it.each(edgeFiles)('%s exports the names of the file beside it', module => {
      expect(exportedNames(module)).toEqual(exportedNames(module.slice(0, -EDGE.length)))
    })

    it('imports edge files only by the name of the file beside them', () => {
      expect(imports.filter(({ to }) => to.endsWith(EDGE))).toEqual([])
    })

    it('loads no module of Node', () => {
      const usesNode = (module: string): boolean =>
        /(?:from|import\()\s*['"]node:/.test(readFileSync(path.join(LIB, `${module}.ts`), 'utf8'))
      expect(loaded.filter(usesNode)).toEqual([])
    })
  })

  it('has no import cycles', () => {
    expect(findCycle(imports)).toBeUndefined()
  })

  it('does not allow an import cycle', () => {
    const cycle = ['a', 'b', 'a'].map((from, i, all) => ({ from, to: all[i + 1] ?? 'b', typeOnly: true }))
    expect(findCycle(cycle)).toBe('a → b → a')
  })
})
