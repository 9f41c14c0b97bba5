import { readFileSync } from 'node:fs'
import { posix as path, sep } from 'node:path'
import ts from 'typescript'
import type { CodeBlock } from './markdown.js'
import { entryPoints } from './package-copy.js'

/** Uses slashes on Windows too, as TypeScript does in file names. */
const ROOT = process.cwd().replaceAll(sep, '/')
/** A folder beside lib/, from which the blocks resolve installed packages. Nothing is written to it. */
const FOLDER = path.join(ROOT, '__blocks__')

/** Whether an error is about a missing type, which JavaScript cannot declare, also of what a spread (2698) copies. */
const NEEDS_A_TYPE = (code: number): boolean => (code >= 7005 && code <= 7053) || code === 2698

const GLOBALS = `
declare const jest: (typeof import('@jest/globals'))['jest']
declare module 'cloudflare:workers' {
  export const env: Record<string, any>
}
`

export const LANGUAGES = new Set(['js', 'javascript', 'mjs', 'cjs', 'ts', 'typescript', 'mts', 'cts'])

/** Returns `.mjs`, `.cjs` or `.mts`: the extension with which the block runs as a file. */
export function extensionOf({ language, code }: CodeBlock): string {
  if (language === 'mjs' || language === 'cjs' || language === 'mts' || language === 'cts') return `.${language}`
  if (language.startsWith('t')) return '.mts'
  return /\brequire\(/.test(code) && !/^import\b/m.test(code) ? '.cjs' : '.mjs'
}

export function nameOf(block: CodeBlock): string {
  return `${block.file.replace(/\.md$/, '').replaceAll(/[^\w]+/g, '-')}-${block.line}${extensionOf(block)}`
}

/** Compiles all blocks in one program against lib/. Returns the errors of each block. */
export function compileBlocks(blocks: readonly CodeBlock[]): Map<CodeBlock, string[]> {
  const sources = new Map(blocks.map(block => [path.join(FOLDER, nameOf(block)), block.code]))
  sources.set(path.join(FOLDER, 'globals.d.ts'), GLOBALS)
  const program = ts.createProgram([...sources.keys()], readOptions(), makeHost(sources))
  return new Map(
    blocks.map(block => {
      const source = program.getSourceFile(path.join(FOLDER, nameOf(block)))
      const diagnostics = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
      const isScript = !extensionOf(block).endsWith('ts')
      return [block, diagnostics.filter(({ code }) => !(isScript && NEEDS_A_TYPE(code))).map(d => format(d, block))]
    }),
  )
}

function readOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile('tsconfig.json', name => readFileSync(name, 'utf8')) as { config: object }
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, ROOT)
  return {
    ...options,
    allowJs: true,
    checkJs: true,
    skipLibCheck: true,
    moduleDetection: ts.ModuleDetectionKind.Force,
    // An example may declare a value without using it, and is written like customer code.
    noUnusedLocals: false,
    noUnusedParameters: false,
    noPropertyAccessFromIndexSignature: false,
    paths: Object.fromEntries(entryPoints().map(({ specifier, source }) => [specifier, [path.join(ROOT, source)]])),
  }
}

function makeHost(sources: ReadonlyMap<string, string>): ts.CompilerHost {
  const disk = ts.createCompilerHost({}, true)
  return {
    ...disk,
    getCurrentDirectory: () => ROOT,
    fileExists: name => sources.has(name) || disk.fileExists(name),
    readFile: name => sources.get(name) ?? disk.readFile(name),
    getSourceFile(name, options, onError) {
      const text = sources.get(name)
      return text === undefined
        ? disk.getSourceFile(name, options, onError)
        : ts.createSourceFile(name, text, options, true)
    },
  }
}

function format({ file, start, messageText }: ts.Diagnostic, block: CodeBlock): string {
  const line = file && start !== undefined ? ts.getLineAndCharacterOfPosition(file, start).line : 0
  return `${block.file}:${block.line + 1 + line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
}
