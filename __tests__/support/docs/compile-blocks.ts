import { readFileSync } from 'node:fs'
import { posix as path, sep } from 'node:path'
import ts from 'typescript'
import type { CodeBlock } from './markdown.js'
import { entryPoints } from './package-copy.js'

/** With slashes on Windows too: TypeScript names files that way. */
const ROOT = process.cwd().replaceAll(sep, '/')
/** Beside lib/, so that the blocks find what is installed; nothing is ever written there. */
const FOLDER = path.join(ROOT, '__blocks__')

/** Parameters and members without a type, which JavaScript cannot give them. */
const NEEDS_A_TYPE = (code: number): boolean => code >= 7005 && code <= 7053

export const LANGUAGES = new Set(['js', 'javascript', 'mjs', 'cjs', 'ts', 'typescript', 'mts', 'cts'])

/** `.mjs`, `.cjs` or `.mts`: as a reader would have to name the file for it to run. */
export function extensionOf({ language, code }: CodeBlock): string {
  if (language === 'mjs' || language === 'cjs' || language === 'mts' || language === 'cts') return `.${language}`
  if (language.startsWith('t')) return '.mts'
  return /\brequire\(/.test(code) && !/^import\b/m.test(code) ? '.cjs' : '.mjs'
}

export function nameOf(block: CodeBlock): string {
  return `${block.file.replace(/\.md$/, '').replaceAll(/[^\w]+/g, '-')}-${block.line}${extensionOf(block)}`
}

/** Compiles all blocks in one program, against lib/; returns what is wrong with each. */
export function compileBlocks(blocks: readonly CodeBlock[]): Map<CodeBlock, string[]> {
  const sources = new Map(blocks.map(block => [path.join(FOLDER, nameOf(block)), block.code]))
  const program = ts.createProgram([...sources.keys()], readOptions(), makeHost(sources))
  return new Map(
    blocks.map(block => {
      const source = program.getSourceFile(path.join(FOLDER, nameOf(block)))
      const diagnostics = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
      const isScript = !extensionOf(block).endsWith('ts')
      return [block, diagnostics.filter(({ code }) => !(isScript && NEEDS_A_TYPE(code))).map(d => tell(d, block))]
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
    // An example may show a value that it goes on to do nothing with, and is written as customers write.
    noUnusedLocals: false,
    noUnusedParameters: false,
    noPropertyAccessFromIndexSignature: false,
    paths: {
      ...Object.fromEntries(entryPoints().map(({ specifier, source }) => [specifier, [path.join(ROOT, source)]])),
      // The newest Vitest needs a newer Node than we do; what the pages use of it, Jest has by the same names.
      vitest: [path.join(ROOT, 'node_modules/@jest/globals/build/index.d.ts')],
    },
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

function tell({ file, start, messageText }: ts.Diagnostic, block: CodeBlock): string {
  const line = file && start !== undefined ? ts.getLineAndCharacterOfPosition(file, start).line : 0
  return `${block.file}:${block.line + 1 + line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
}
