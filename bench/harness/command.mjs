// Runs the command `vkit` in its own process, and measures it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

const VKIT = fileURLToPath(new URL('../../dist/cli/vkit.js', import.meta.url))
const REPORT_USAGE = new URL('report-usage.mjs', import.meta.url).href
const INTERRUPTED = 130

/** Runs `vkit` until its end, or until a Ctrl-C after `ms`. The cost includes the start of the process. */
export async function runCommand(args, { appSecret, ms }) {
  const started = performance.now()
  const child = spawn(process.execPath, ['--import', REPORT_USAGE, VKIT, ...args], {
    env: { ...process.env, VKIT_APP_SECRET: appSecret },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  })
  const timer = ms === undefined ? undefined : setTimeout(() => child.kill('SIGINT'), ms)
  const [stderr, usage, [code]] = await Promise.all([text(child.stderr), text(child.stdio[3]), once(child, 'exit')])
  clearTimeout(timer)
  if (code !== 0 && code !== INTERRUPTED) throw new Error(`vkit exited with ${code}: ${stderr.slice(-1_000)}`)
  const { userCPUTime, systemCPUTime, maxRSS } = JSON.parse(usage)
  return { ms: performance.now() - started, cpuUs: userCPUTime + systemCPUTime, peakBytes: maxRSS * 1024 }
}
