/** Runs one row, and writes its result to file descriptor 3. */
import { writeSync } from 'node:fs'
import net from 'node:net'
import { rows } from '../rows/index.js'
import { Context } from './context.js'
import type { RowResult } from './row.js'

const RESULT_FD = 3
const TURN_MS = 10

const row = rows.find(({ n }) => String(n) === process.argv[2])
if (!row) throw new Error('no such row')

const noise: string[] = []
process.on('unhandledRejection', reason => noise.push(`unhandled rejection: ${String(reason)}`))
process.on('warning', ({ name, message }) => {
  if (!row.expectedWarning?.test(message)) noise.push(`${name}: ${message}`)
})

// The servers of the row must not keep the process alive, because that would hide what the client keeps open.
const prototype = net.Server.prototype as { listen: (this: net.Server, ...args: unknown[]) => net.Server }
const { listen } = prototype
prototype.listen = function (this: net.Server, ...args: unknown[]) {
  return listen.apply(this.on('connection', (socket: net.Socket) => socket.unref()).unref(), args)
}

const began = performance.now()
const running = setInterval(() => undefined, 1_000_000)
let failure: string | undefined
const t = new Context(process.env['FAULTS_CERTIFICATES'] ?? '{}')
try {
  await row.run(t)
} catch (error) {
  failure = error instanceof Error ? String(error.stack) : String(error)
}
try {
  await t.close()
} catch (error) {
  failure ??= error instanceof Error ? String(error.stack) : String(error)
}
clearInterval(running)
const durationMs = performance.now() - began

// Turns are counted and not time, because a process with nothing left to do may still wait on a busy machine.
let turns = 0
setInterval(() => turns++, TURN_MS).unref()
process.on('exit', () => {
  const result: RowResult = {
    ...(failure !== undefined && { failure }),
    noise,
    lingeredMs: turns * TURN_MS,
    durationMs,
  }
  writeSync(RESULT_FD, JSON.stringify(result))
})
