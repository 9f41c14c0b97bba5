import { build, type Plugin } from 'esbuild'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { makeCertificate } from '../../support/certificates.js'
import type { Row, RowResult } from './row.js'

const HOUR_MS = 3_600_000
const TIMEOUT_MS = 60_000
const MAX_RUNNING = 3

/** The transport that the rows run with: got, or that of edge runtimes, on Node's `fetch`. */
export type TransportName = 'got' | 'fetch'

/** With `VKIT_TEST_DIST=1`, the rows import the built package in place of lib/, as jest.config.ts does for tests. */
const fromDist = (transport: TransportName): Plugin => ({
  name: 'from-dist',
  setup: build => {
    build.onResolve({ filter: /^(\.\.\/){2,}lib\/.*index\.js$/ }, ({ path: file }) => {
      const name = file.replace(/^.*\/lib\//, '')
      const folder = transport === 'fetch' && name === 'index.js' ? 'edge' : 'esm'
      return { path: path.resolve('dist', folder, name) }
    })
  },
})

/** Takes `x.edge.ts` in place of `x.ts`, as the build does for edge runtimes. */
const edgeFiles: Plugin = {
  name: 'edge-files',
  setup: build => {
    build.onResolve({ filter: /^\.{1,2}\/.*\.js$/ }, ({ path: file, resolveDir }) => {
      const edgeFile = path.resolve(resolveDir, file.replace(/\.js$/, '.edge.ts'))
      return existsSync(edgeFile) ? { path: edgeFile } : undefined
    })
  },
}

export interface FinishedRow extends RowResult {
  readonly exitCode: number | null
  /** What the child process printed. */
  readonly output: string
}

/** Runs rows in child processes, a few at a time. The library is bundled only once. */
export class RowRunner {
  readonly #folder: string
  readonly #env: NodeJS.ProcessEnv
  readonly #waiting: (() => void)[] = []
  #running = 0

  private constructor(folder: string, env: NodeJS.ProcessEnv) {
    this.#folder = folder
    this.#env = env
  }

  static async prepare(transport: TransportName): Promise<RowRunner> {
    const folder = await mkdtemp(path.join(tmpdir(), 'videokit-faults-'))
    await build({
      entryPoints: { child: '__tests__/faults/harness/child.ts' },
      outdir: folder,
      outExtension: { '.js': '.mjs' },
      bundle: true,
      splitting: true,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      // In lib/, got contains CommonJS code, which calls `require`.
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
      plugins: [
        ...(process.env['VKIT_TEST_DIST'] === '1' ? [fromDist(transport)] : []),
        ...(transport === 'fetch' ? [edgeFiles] : []),
      ],
      logLevel: 'warning',
    })
    const certificates = makeCertificates()
    const trusted = path.join(folder, 'trusted.pem')
    // All are trusted except the self-signed one, so each of the others fails only for its own defect.
    const { good, expired, wrongName } = certificates
    await writeFile(trusted, [good, expired, wrongName].map(({ cert }) => cert).join(''))
    return new RowRunner(folder, {
      PATH: process.env['PATH'],
      NODE_EXTRA_CA_CERTS: trusted,
      FAULTS_CERTIFICATES: JSON.stringify(certificates),
    })
  }

  async dispose(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }

  async run(row: Row): Promise<FinishedRow> {
    if (this.#running++ >= MAX_RUNNING) await new Promise<void>(resolve => this.#waiting.push(resolve))
    try {
      return await this.#spawn(row)
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }

  #spawn({ n, env }: Row): Promise<FinishedRow> {
    const child = spawn(process.execPath, [path.join(this.#folder, 'child.mjs'), String(n)], {
      env: { ...this.#env, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
    })
    const [, out, err, report] = child.stdio
    const output = Promise.all([readAll(out), readAll(err)])
    const result = readAll(report)
    return new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', exitCode => {
        void Promise.all([output, result]).then(([texts, text]) => {
          const empty: RowResult = {
            failure: `the child process reported nothing:\n${texts.join('')}`,
            noise: [],
            lingeredMs: 0,
            durationMs: 0,
          }
          const parsed = text === '' ? empty : (JSON.parse(text) as RowResult)
          resolve({ ...parsed, exitCode, output: texts.join('') })
        }, reject)
      })
    })
  }
}

async function readAll(stream: unknown): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

function makeCertificates(): Record<'good' | 'selfSigned' | 'expired' | 'wrongName', { key: string; cert: string }> {
  const hours = (n: number): Date => new Date(Date.now() + n * HOUR_MS)
  return {
    good: makeCertificate(),
    selfSigned: makeCertificate(),
    expired: makeCertificate({ notBefore: hours(-48), notAfter: hours(-24) }),
    wrongName: makeCertificate({ hosts: ['gateway.example'] }),
  }
}
