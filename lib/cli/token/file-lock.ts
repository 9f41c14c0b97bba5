import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { fstatSync, linkSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { CommandError, EXIT, fileError } from '../exit-codes.js'

/** The event loop of a run that mints can be busy. */
const ANSWER_MS = 2_000
const ANSWER = /^process \d{1,10}, since [\dT:-]{19}Z$/

/**
 * Locks an open file, and returns a function that releases the lock. The operating system releases it too when the
 * process ends, even after `kill -9`, because the lock is a server that listens and says who it is.
 *
 * @throws CommandError that names the other run, if one has the lock
 */
export async function lockFile(fd: number): Promise<() => void> {
  const { dev, ino } = fstatSync(fd, { bigint: true })
  const name = `vkit-${dev.toString(36)}-${ino.toString(36)}`
  // An abstract socket has a name, but no file. Node.js supports it since 20.4.
  const isAbstract = process.platform === 'linux' && !/^v20\.[0-3]\./.test(process.version)
  try {
    if (process.platform === 'win32') return await listen(`\\\\.\\pipe\\${name}`)
    return await (isAbstract ? listen(`\0${name}`) : listenAtFile(path.join(tmpdir(), name)))
  } catch (error) {
    throw fileError('Cannot lock the output file', error)
  }
}

async function listen(address: string): Promise<() => void> {
  const self = `process ${process.pid}, since ${new Date().toISOString().slice(0, 19)}Z`
  const server = createServer(socket => void socket.end(self, () => socket.destroy()).on('error', () => undefined))
  server.maxConnections = 8
  try {
    await once(server.unref().listen(address), 'listening')
    return () => void server.close()
  } catch (error) {
    throw codeOf(error) === 'EADDRINUSE' ? heldBy(await ask(address)) : error
  }
}

/**
 * Listens at the first of `base-0`, `base-1`, … at which no killed process did. Their files stay: if one was removed, the
 * name could belong to a new process by then.
 */
async function listenAtFile(base: string): Promise<() => void> {
  const own = `${base}.${randomUUID().slice(0, 8)}`
  await listen(own)
  try {
    for (let n = 0; ;) {
      const file = `${base}-${n}`
      if (tryLink(own, file)) return () => rmSync(file, { force: true })
      const holder = await ask(file)
      if (holder === 'ECONNREFUSED') n++
      else if (holder !== 'ENOENT') throw heldBy(holder)
    }
  } finally {
    rmSync(own, { force: true })
  }
}

/** Gives a socket another name, unless that exists. A new socket with this name would not listen for a moment. */
function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/** Asks the process that listens who it is. Returns its answer, or an error code. */
async function ask(address: string): Promise<string> {
  const socket = connect({ path: address, signal: AbortSignal.timeout(ANSWER_MS) })
  try {
    const [answer] = (await once(socket, 'data')) as [Buffer]
    return ANSWER.exec(answer.toString('latin1'))?.[0] ?? ''
  } catch (error) {
    return codeOf(error)
  } finally {
    socket.destroy()
  }
}

function heldBy(holder: string): CommandError {
  const who = holder.startsWith('process') ? holder : 'unknown process'
  return new CommandError(`Another run writes this file: ${who}. Wait for it, or stop it.`, EXIT.file)
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? ''
}
