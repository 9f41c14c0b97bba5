// Runs each program of a job list in a separate worker with a separate emulator, and prints one line of JSON per program.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import { text } from 'node:stream/consumers'

const TIMEOUT_MS = 20_000
const jobs = JSON.parse(readFileSync(process.argv[2], 'utf8'))
// The emulator is loaded from the installed package.
const { GatewayEmulator } = createRequire(process.argv[2])('@video-io/videokit-nodejs/testing')

for (const job of jobs) console.log(JSON.stringify(await run(job)))

async function run(job) {
  const emulator = await new GatewayEmulator().start()
  const env = { ...process.env, VKIT_APP_SECRET: emulator.appSecret, VKIT_BASE_URL: emulator.url }
  const worker = new Worker(new URL('worker.mjs', import.meta.url), {
    workerData: job,
    env,
    stdout: true,
    stderr: true,
  })
  const output = Promise.all([text(worker.stdout), text(worker.stderr)])
  const problem = await ending(worker)
  await emulator.stop()
  return { ok: problem === undefined, output: [...(await output), problem ?? ''].join('') }
}

/** Resolves with a description of the problem if the worker did not end normally. */
function ending(worker) {
  return new Promise(resolve => {
    let problem
    const timer = setTimeout(() => {
      problem = `The program did not end within ${TIMEOUT_MS} ms.`
      void worker.terminate()
    }, TIMEOUT_MS)
    worker.once('error', error => (problem = error?.stack ?? String(error)))
    worker.once('exit', code => {
      clearTimeout(timer)
      resolve(problem ?? (code === 0 ? undefined : `The program ended with code ${code}.`))
    })
  })
}
