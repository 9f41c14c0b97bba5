// Runs the programs of a job list, each in a worker of its own against an emulator of its own; one line of JSON each.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import { text } from 'node:stream/consumers'

const PATIENCE_MS = 20_000
const jobs = JSON.parse(readFileSync(process.argv[2], 'utf8'))
// From where the package is installed, and not from here.
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

/** What was wrong with how it ended, if anything. */
function ending(worker) {
  return new Promise(resolve => {
    let problem
    const timer = setTimeout(() => {
      problem = `It did not end by itself within ${PATIENCE_MS} ms.`
      void worker.terminate()
    }, PATIENCE_MS)
    worker.once('error', error => (problem = error?.stack ?? String(error)))
    worker.once('exit', code => {
      clearTimeout(timer)
      resolve(problem ?? (code === 0 ? undefined : `It ended with code ${code}.`))
    })
  })
}
