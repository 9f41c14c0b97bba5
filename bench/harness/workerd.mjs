// Runs a bundled Worker in workerd, the runtime of Cloudflare Workers.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const BENCH = fileURLToPath(new URL('..', import.meta.url))
const WORKERD = path.join(BENCH, 'node_modules/workerd/bin/workerd')
const COMPATIBILITY_DATE = '2026-11-01'

/** Bundles with the settings of wrangler, and returns the code. */
export async function bundleWorker(code) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: BENCH },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2024',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['node:*', 'cloudflare:*'],
    logLevel: 'error',
  })
  return outputFiles[0].contents
}

/** Returns the milliseconds from the start of the process until its first response, and until its second one after that. */
export async function timeStart(folder, code) {
  await writeFile(path.join(folder, 'worker.js'), code)
  await writeFile(path.join(folder, 'config.capnp'), CONFIG)
  const started = performance.now()
  const workerd = spawn(WORKERD, ['serve', 'config.capnp', '--control-fd=3'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
  })
  try {
    const [message] = await once(workerd.stdio[3], 'data')
    const { port } = JSON.parse(message)
    await request(port)
    const first = performance.now()
    await request(port)
    return { first: first - started, second: performance.now() - first }
  } finally {
    workerd.kill('SIGKILL')
    await once(workerd, 'exit')
  }
}

async function request(port) {
  const response = await fetch(`http://127.0.0.1:${port}/`)
  const text = await response.text()
  if (!response.ok) throw new Error(`${response.status}: ${text}`)
}

const CONFIG = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["local", "public", "private"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "${COMPATIBILITY_DATE}",
);
`
