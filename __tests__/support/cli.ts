import { afterAll, beforeAll, jest } from '@jest/globals'
import { build } from 'esbuild'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { GatewayEmulator } from '../../lib/testing/index.js'
import { afterThisTest } from './gateway.js'

export interface CliResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface CliRun {
  readonly child: ChildProcess
  readonly result: Promise<CliResult>
  /** Returns the standard error output so far. */
  readonly stderr: () => string
}

let folder = ''
let bundle = ''

/** Bundles the command with its dependencies once per test file, because a few large files load in half the time. */
export function useCli(): void {
  jest.setTimeout(60_000) // Processes start slowly if many start at the same time.
  beforeAll(async () => {
    await mkdir('node_modules/.cache', { recursive: true })
    folder = await mkdtemp(path.resolve('node_modules/.cache/vkit-'))
    bundle = path.join(folder, 'dist/cli/vkit.js')
    await copyFile('package.json', path.join(folder, 'package.json'))
    await mkdir(path.dirname(bundle), { recursive: true })
    await copyFile('lib/cli/emulator/page.html', path.join(path.dirname(bundle), 'page.html'))
    await build({
      entryPoints: { vkit: 'lib/cli/vkit.ts' },
      outdir: path.dirname(bundle),
      bundle: true,
      splitting: true,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
      logLevel: 'error',
    })
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))
}

export function bundlePath(): string {
  return bundle
}

/** Starts `vkit` with only PATH and `env` in its environment, and ends it after the test. `stdout` may be an open file. */
export function startCli(
  args: readonly string[],
  env: Record<string, string> = {},
  stdout: 'pipe' | number = 'pipe',
): CliRun {
  const child = spawn(process.execPath, [bundle, ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['pipe', stdout, 'pipe'],
  })
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk))
  const stderr = (): string => Buffer.concat(err).toString()
  const result = once(child, 'close').then(([code]) => ({
    code: code as number | null,
    stdout: Buffer.concat(out).toString(),
    stderr: stderr(),
  }))
  afterThisTest(async () => {
    child.kill('SIGKILL')
    await result
  })
  return { child, result, stderr }
}

export async function runCli(
  args: readonly string[],
  { env, input = '' }: { env?: Record<string, string>; input?: string } = {},
): Promise<CliResult> {
  const { child, result } = startCli(args, env)
  child.stdin?.on('error', () => undefined) // The process may have ended without reading its input.
  child.stdin?.end(input)
  return result
}

/** Returns the environment of a developer who uses that gateway. */
export function envFor(gateway: GatewayEmulator): Record<string, string> {
  return { VKIT_APP_SECRET: gateway.appSecret, VKIT_BASE_URL: gateway.url }
}

/** Creates an empty folder that is removed after the test. */
export async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'vkit-test-'))
  afterThisTest(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Returns an environment in which these modules run before `vkit`. */
export function preload(...sources: readonly string[]): Record<string, string> {
  return { NODE_OPTIONS: sources.map(each => `--import=data:text/javascript,${encodeURIComponent(each)}`).join(' ') }
}

/** A module for `preload` that makes `vkit` see another platform. */
export function platform(name: NodeJS.Platform): string {
  return `Object.defineProperty(process, 'platform', { value: '${name}' })`
}
