import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import { extensionOf, nameOf } from './compile-blocks.js'
import type { CodeBlock, ExpectedResponse } from './markdown.js'

const RUNNER = path.resolve('__tests__/support/docs/runner/main.mjs')
/** The module that stands in for `cloudflare:workers`. */
export const WORKER_BINDINGS = pathToFileURL('__tests__/support/docs/runner/cloudflare-workers.mjs').href
const JEST = path.resolve('node_modules/jest/bin/jest.js')
const VITEST = path.resolve('node_modules/vitest/vitest.mjs')

export interface RunOutcome {
  readonly ok: boolean
  /** The output of the program, and why it failed. */
  readonly output: string
}

export interface RunnableFile {
  readonly file: string
  readonly answers: readonly ExpectedResponse[]
}

/** Returns the test framework that runs the block, or undefined if the block runs as a separate program. */
function frameworkOf({ code }: CodeBlock): 'jest' | 'vitest' | 'node:test' | undefined {
  if (/(?:from |require\()['"]@jest\/globals['"]/.test(code)) return 'jest'
  if (/from ['"]vitest['"]/.test(code)) return 'vitest'
  return /(?:from |require\()['"]node:test['"]/.test(code) ? 'node:test' : undefined
}

/** Runs each block in `folder`, where the package is installed, with a separate emulator. */
export async function runBlocks(blocks: readonly CodeBlock[], folder: string): Promise<Map<CodeBlock, RunOutcome>> {
  const programs = blocks.filter(block => !frameworkOf(block))
  const jobs = programs.map(block => ({ file: write(block, folder), answers: block.answers }))
  const [lines, ...tests] = await Promise.all([
    runPrograms(jobs, folder),
    ...blocks.filter(frameworkOf).map(async block => [block, await runTestFile(block, folder)] as const),
  ])
  const outcomes = [...programs.map((block, i) => [block, lines[i] ?? NOT_RUN] as const), ...tests]
  return new Map(outcomes.map(([block, { ok, output }]) => [block, { ok, output: withLinesOfPage(block, output) }]))
}

/** Names the line of the page where a stack trace names the line of the file that ran. */
function withLinesOfPage(block: CodeBlock, output: string): string {
  // Removing types moves lines.
  if (extensionOf(block).endsWith('ts')) return output
  const file = frameworkOf(block) ? 'example.test.js' : nameOf(block) + extensionOf(block)
  const place = new RegExp(`(?:[\\w:/\\\\.-]*[/\\\\])?${file.replaceAll('.', '\\.')}:(\\d+)`, 'g')
  return output.replace(place, (_, line: string) => `${block.file}:${block.line + Number(line)}`)
}

/** Returns the output that comments beside `console.log` calls promise, but that is missing from `output`, with its line. */
export function unprinted({ file, line, code }: CodeBlock, output: string): string[] {
  const printed = output.replace(/\s+/g, ' ')
  return code.split('\n').flatMap((text, i) => {
    const [, promised] = /console\.\w+\(.*\) \/\/ (.+)$/.exec(text) ?? []
    if (promised === undefined) return []
    const parts = promised.split('…').map(part => part.trim().replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    const isPrinted = new RegExp(`(?<=^|\\s)${parts.join('.*')}(?=$|\\s)`).test(printed)
    return isPrinted ? [] : [`${file}:${line + i + 1}: not printed: ${promised}`]
  })
}

const NOT_RUN: RunOutcome = { ok: false, output: 'the runner did not run this block' }

async function runPrograms(jobs: readonly RunnableFile[], folder: string): Promise<RunOutcome[]> {
  const list = path.join(folder, 'jobs.json')
  writeFileSync(list, JSON.stringify(jobs))
  const { ok, output } = await run(process.execPath, [RUNNER, list], folder)
  if (!ok) throw new Error(`The runner of the blocks failed:\n${output}`)
  return output
    .split('\n')
    .filter(line => line.startsWith('{"ok":'))
    .map(line => JSON.parse(line) as RunOutcome)
}

/** Runs the block in the default setup, or in the setup of docs/guides/testing.md if the block uses `import`. */
async function runTestFile(block: CodeBlock, folder: string): Promise<RunOutcome> {
  const own = path.join(folder, nameOf(block).replaceAll('.', '-'))
  mkdirSync(own)
  const isModule = extensionOf(block) !== '.cjs'
  // `own` is below a node_modules folder, whose files Jest neither runs nor transforms by default.
  const jest = {
    testPathIgnorePatterns: ['^$'],
    transformIgnorePatterns: ['/node_modules/(?!\\.cache/)'],
    haste: { retainAllFiles: true },
  }
  writeFileSync(path.join(own, 'package.json'), JSON.stringify({ ...(isModule && { type: 'module' }), jest }))
  writeFileSync(path.join(own, 'example.test.js'), runnable(block))
  const framework = frameworkOf(block)
  if (framework === 'node:test') return run(process.execPath, ['--test', 'example.test.js'], own)
  if (framework === 'vitest') {
    // As with Jest: by default, Vitest neither runs nor transforms files below a node_modules folder.
    const test = '{ exclude: [], server: { deps: { inline: [/example.test/] } } }'
    writeFileSync(path.join(own, 'vitest.config.js'), `export default { test: ${test} }`)
    return run(process.execPath, [VITEST, 'run'], own)
  }
  const flags = isModule ? ['--experimental-vm-modules'] : []
  return run(process.execPath, [...flags, JEST, '--no-cache'], own)
}

function write(block: CodeBlock, folder: string): string {
  const file = path.join(folder, nameOf(block) + jsExtensionOf(block))
  writeFileSync(file, runnable(block))
  return file
}

function jsExtensionOf(block: CodeBlock): string {
  return extensionOf(block).replace('ts', 'js')
}

function runnable(block: CodeBlock): string {
  const code = block.code.replaceAll("'cloudflare:workers'", JSON.stringify(WORKER_BINDINGS))
  if (!extensionOf(block).endsWith('ts')) return code
  const module = extensionOf(block) === '.cts' ? ts.ModuleKind.CommonJS : ts.ModuleKind.ESNext
  const compilerOptions = { module, target: ts.ScriptTarget.ES2022 }
  return ts.transpileModule(code, { compilerOptions }).outputText
}

async function run(command: string, args: readonly string[], cwd: string): Promise<RunOutcome> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(VKIT|JEST|NODE)_/.test(name)))
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>(resolve => child.once('close', resolve)),
  ])
  return { ok: code === 0, output: stdout + stderr }
}
