// Commands between a process and its children: one line of JSON each, on stdin and stdout.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** Starts a file of this folder. `call` runs one of the handlers that it passed to `serve`. */
export async function startPeer(file) {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const child = spawn(process.execPath, [path], { stdio: ['pipe', 'pipe', 'inherit'] })
  const pending = new Map()
  let calls = 0
  createInterface({ input: child.stdout }).on('line', line => {
    const { id, result, error } = JSON.parse(line)
    const { resolve, reject } = pending.get(id)
    pending.delete(id)
    if (error === undefined) resolve(result)
    else reject(new Error(`${file}: ${error}`))
  })
  child.stdin.on('error', () => undefined)
  const ended = once(child, 'exit').then(() => {
    for (const { reject } of pending.values()) reject(new Error(`${file} has ended`))
  })
  const peer = {
    call: (name, argument) =>
      new Promise((resolve, reject) => {
        const id = calls++
        pending.set(id, { resolve, reject })
        child.stdin.write(`${JSON.stringify({ id, name, argument })}\n`)
      }),
    kill: () => {
      child.kill('SIGKILL')
      return ended
    },
  }
  await peer.call('ready')
  return peer
}

/** Runs the handlers that the parent calls. The process ends with its parent. */
export function serve(handlers) {
  const all = { ready: () => undefined, ...handlers }
  const lines = createInterface({ input: process.stdin })
  lines.on('close', () => process.exit())
  lines.on('line', async line => {
    const { id, name, argument } = JSON.parse(line)
    const reply = await Promise.resolve()
      .then(() => all[name](argument))
      .then(
        result => ({ id, result }),
        error => ({ id, error: String(error?.stack ?? error) }),
      )
    process.stdout.write(`${JSON.stringify(reply)}\n`)
  })
}
