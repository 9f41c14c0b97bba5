import { afterAll, beforeAll } from '@jest/globals'
import { build } from 'esbuild'
import { spawn } from 'node:child_process'
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { GatewayEmulator } from '../../lib/testing/index.js'

export interface End {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

let folder = ''
let loadedAtOnce: string[] = []

/** Bundles the package once per test file, for `runScript`. */
export function useScripts(): void {
  beforeAll(async () => {
    folder = await realpath(await mkdtemp(path.join(tmpdir(), 'videokit-process-')))
    const { metafile } = await build({
      entryPoints: { videokit: 'lib/index.ts' },
      outdir: folder,
      outExtension: { '.js': '.mjs' },
      bundle: true,
      splitting: true,
      metafile: true,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      // got contains CommonJS code, which calls `require`.
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
      logLevel: 'warning',
    })
    const files = Object.entries(metafile.outputs)
    loadedAtOnce = files
      .filter(([, { entryPoint }]) => !entryPoint?.includes('/got/'))
      .map(([file]) => path.resolve(file))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))
}

/** The files of the package, except the chunk with got, which is loaded at the first mint. */
export function filesLoadedAtOnce(): readonly string[] {
  return [...loadedAtOnce, path.join(folder, 'script.mjs')]
}

export interface ScriptOptions {
  readonly env?: Record<string, string>
  /** Options of Node. */
  readonly args?: readonly string[]
  /** Whether no process reads the standard error of the process, so that each write to it fails. */
  readonly isStderrClosed?: boolean
}

/** Runs `script`, which can use `VKitClient`, in its own process, and waits until that process ends. */
export async function runScript(gateway: GatewayEmulator, script: string, options: ScriptOptions = {}): Promise<End> {
  const file = path.join(folder, 'script.mjs')
  await writeFile(file, `import { VKitClient } from './videokit.mjs'\n${script}`)
  const env = { PATH: process.env['PATH'], VKIT_APP_SECRET: gateway.appSecret, VKIT_BASE_URL: gateway.url }
  const child = spawn(process.execPath, [...(options.args ?? []), file], { env: { ...env, ...options.env } })
  if (options.isStderrClosed) child.stderr.destroy()
  const read = async (stream: AsyncIterable<Buffer>): Promise<string> => {
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk)
    return Buffer.concat(chunks).toString()
  }
  const code = new Promise<number | null>(resolve => child.once('close', resolve))
  const [out, err] = await Promise.all([read(child.stdout), options.isStderrClosed ? '' : read(child.stderr)])
  return { code: await code, out, err }
}
