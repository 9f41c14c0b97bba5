import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { freePort } from './free-port.js'
import type { Need } from './needs.js'

/** A separate server process on a free loopback port, with its files in a temporary folder. */
export interface Server {
  readonly url: string
  readonly folder: string
  /** Ends the process without a shutdown. */
  kill(): Promise<void>
  /** Starts the server again on the same port, after `kill`. */
  start(): Promise<void>
  /** Stops the process, which keeps its connections and does not respond. */
  pause(): void
  resume(): void
  stop(): Promise<void>
}

const PGLITE_SERVER = path.resolve('node_modules/@electric-sql/pglite-socket/dist/scripts/server.js')

const redisBinary = findBinary('redis-server')
const initdb = findBinary('initdb')

export const redisOnPath = onPath('redis-server', redisBinary)
export const postgresOnPath = onPath("PostgreSQL's initdb", initdb)

/** Throws if the binary is missing and VKIT_REQUIRE_STORES is set. */
function onPath(name: string, binary: string | undefined): Need {
  const what = `${name} on PATH`
  if (binary === undefined && process.env['VKIT_REQUIRE_STORES']) throw new Error(`VKIT_REQUIRE_STORES needs ${what}`)
  return { what, isMet: binary !== undefined }
}

export async function startRedis(): Promise<Server> {
  const args = ['--save', '', '--appendonly', 'no', '--rdbcompression', 'no', '--bind', '127.0.0.1', '--dir']
  return startServer('redis', folder => ({
    run: port => spawn(redisBinary ?? '', [...args, folder, '--port', String(port)], { stdio: 'ignore' }),
    url: port => `redis://127.0.0.1:${port}`,
  }))
}

/** Starts Postgres in WebAssembly, which `npm ci` installs. */
export async function startPGlite(): Promise<Server> {
  // A pool of pg opens up to 10 connections.
  const args = [PGLITE_SERVER, '--host', '127.0.0.1', '--max-connections', '10', '--port']
  return startServer('pglite', () => ({
    run: port => spawn(process.execPath, [...args, String(port)], { stdio: 'ignore' }),
    url: port => `postgresql://postgres@127.0.0.1:${port}/postgres`,
  }))
}

/** Starts Postgres, as another user if this process runs as root, because Postgres refuses to run as root. */
export async function startPostgres(): Promise<Server> {
  const user = process.getuid?.() === 0 ? { uid: idOf('-u'), gid: idOf('-g') } : {}
  // PATH may contain a link to initdb only, so the other programs are found beside its target.
  const binary = (name: string): string => path.join(path.dirname(realpathSync(initdb ?? '')), name)
  return startServer('postgres', folder => {
    const data = path.join(folder, 'data')
    if (user.uid !== undefined) chownSync(folder, user.uid, user.gid)
    const options = { ...user, cwd: folder, encoding: 'utf8' } as const
    const locale = ['--no-locale', '--encoding=UTF8']
    const made = spawnSync(binary('initdb'), ['-D', data, '-A', 'trust', '-U', 'vkit', '--no-sync', ...locale], options)
    if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`)
    const args = ['-D', data, '-h', '127.0.0.1', '-k', '', '-F', '-p']
    return {
      run: port => spawn(binary('postgres'), [...args, String(port)], { ...user, cwd: folder, stdio: 'ignore' }),
      // Postgres listens before it accepts queries.
      isReady: port => spawnSync(binary('pg_isready'), ['-h', '127.0.0.1', '-p', String(port)]).status === 0,
      url: port => `postgresql://vkit@127.0.0.1:${port}/postgres`,
    }
  })
}

interface Recipe {
  readonly run: (port: number) => ChildProcess
  readonly url: (port: number) => string
  readonly isReady?: (port: number) => boolean
}

async function startServer(name: string, prepare: (folder: string) => Recipe): Promise<Server> {
  const folder = mkdtempSync(path.join(os.tmpdir(), `vkit-${name}-`))
  const { run, url, isReady } = prepare(folder)
  const port = await freePort()
  let child: ChildProcess | undefined
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child?.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }
  const server: Server = {
    url: url(port),
    folder,
    start: async () => {
      child = run(port)
      await untilReady(port, child, isReady)
    },
    kill: () => end('SIGKILL'),
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    stop: async () => {
      // On SIGTERM Postgres waits for sessions to end, but SIGINT would cut off clients that are disconnecting.
      server.resume()
      await end('SIGTERM')
      rmSync(folder, { recursive: true, force: true })
    },
  }
  try {
    await server.start()
  } catch (error) {
    await server.stop()
    throw error
  }
  return server
}

async function untilReady(port: number, child: ChildProcess, isReady: Recipe['isReady']): Promise<void> {
  for (let attempt = 0; attempt < 2_000; attempt++) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`)
    const socket = net.connect(port, '127.0.0.1')
    const connected = await new Promise<boolean>(resolve => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    })
    socket.destroy()
    if (connected && (isReady?.(port) ?? true)) return
    await wait(20)
  }
  throw new Error('the server does not respond')
}

export function findBinary(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter)
  return folders.map(folder => path.join(folder, name)).find(file => existsSync(file))
}

function idOf(flag: '-u' | '-g'): number {
  const ids = ['postgres', 'nobody'].map(user => spawnSync('id', [flag, user], { encoding: 'utf8' }))
  const found = ids.find(({ status }) => status === 0)
  if (!found) throw new Error('no user to run Postgres as')
  return Number(found.stdout)
}
