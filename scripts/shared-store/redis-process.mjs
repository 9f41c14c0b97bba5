// A Redis or Valkey server in a process of its own, without files.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { createClient } from 'redis'

export async function startRedis(engine) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'vkit-fleet-'))
  const port = await freePort()
  const url = `redis://127.0.0.1:${port}`
  let child
  const start = async () => {
    const args = ['--save', '', '--appendonly', 'no', '--bind', '127.0.0.1', '--port', port, '--dir', folder]
    child = spawn(`${engine}-server`, [...args, '--repl-diskless-sync-delay', '0'], { stdio: 'ignore' })
    prioritize(child.pid)
    await Promise.race([untilReady(url), once(child, 'error').then(([error]) => Promise.reject(error))])
  }
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  process.on('exit', () => child.kill('SIGKILL'))
  await start()
  const admin = createClient({ url }).on('error', () => undefined)
  await admin.connect()
  return {
    port,
    url,
    start,
    kill: end,
    /** Stops the process, so that connections stay open and silent, until `resume`. */
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    send: (...command) => admin.sendCommand(command.map(String)),
    stop: async () => {
      admin.destroy()
      await end()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** In reality the servers have machines of their own, and many workers on few cores must not starve them. */
export function prioritize(pid) {
  try {
    os.setPriority(pid, os.constants.priority.PRIORITY_HIGHEST)
  } catch {
    // Only an administrator may.
  }
}

/** Returns how often each command was called, without those of the connection itself and of this script. */
export async function commandCounts(redis) {
  const info = String(await redis.send('INFO', 'commandstats'))
  const counts = [...info.matchAll(/cmdstat_(\S+?):calls=(\d+)/g)].map(([, name, calls]) => [name, Number(calls)])
  return Object.fromEntries(
    counts.filter(([name]) => !/^(info|ping|hello|client|config|flushall|command|module)/.test(name)),
  )
}

async function untilReady(url) {
  for (let attempt = 0; attempt < 500; attempt++) {
    const probe = createClient({ url, socket: { reconnectStrategy: false } }).on('error', () => undefined)
    try {
      await probe.connect()
      await probe.ping()
      return
    } catch {
      await wait(20)
    } finally {
      probe.destroy()
    }
  }
  throw new Error('the server does not respond')
}

async function freePort() {
  const probe = net.createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  return port
}
