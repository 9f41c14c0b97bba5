import { spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { afterThisTest } from './gateway.js'
import type { Need } from './needs.js'

const UNSHARE = ['--net', '--mount']

/** A network namespace with an address and an `/etc/hosts` of its own, like a container. */
export interface Host {
  run(command: readonly string[], options: RunOptions): HostProcess
}

export interface RunOptions {
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
}

export type HostProcess = ChildProcessByStdio<null, Readable, Readable>

export const networkNamespaces: Need = findNamespaces()

/** Throws if namespaces cannot be created and VKIT_REQUIRE_NAMESPACES is set. */
function findNamespaces(): Need {
  const isMet = spawnSync('unshare', [...UNSHARE, 'ip', 'link', 'add', 'type', 'veth']).status === 0
  const what = 'Linux, root and iproute2'
  if (!isMet && process.env['VKIT_REQUIRE_NAMESPACES']) throw new Error(`VKIT_REQUIRE_NAMESPACES needs ${what}`)
  return { what, isMet }
}

/**
 * Connects two hosts that know each other by name, and ends them and their processes after the test.
 *
 * The namespaces have no names, so they end with their processes, also if this process is killed.
 */
export async function startHosts<A extends string, B extends string>(a: A, b: B): Promise<Record<A | B, Host>> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'vkit-hosts-'))
  afterThisTest(async () => rmSync(folder, { recursive: true, force: true }))
  const hosts = path.join(folder, 'hosts')
  writeFileSync(hosts, `127.0.0.1 localhost\n10.0.0.1 ${a}\n10.0.0.2 ${b}\n`)
  const [first, second] = [await startHost(hosts), await startHost(hosts)]
  inNetworkOf(first, ['link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(second)])
  for (const [pid, address] of [
    [first, '10.0.0.1/24'],
    [second, '10.0.0.2/24'],
  ] as const) {
    inNetworkOf(pid, ['address', 'add', address, 'dev', 'eth0'])
    for (const device of ['lo', 'eth0']) inNetworkOf(pid, ['link', 'set', device, 'up'])
  }
  return { [a]: makeHost(first), [b]: makeHost(second) } as Record<A | B, Host>
}

/** Starts the process that keeps the namespaces: it ends when its standard input ends. */
async function startHost(hosts: string): Promise<number> {
  const script = `mount --bind ${hosts} /etc/hosts && echo ready && exec cat`
  const child = spawn('unshare', [...UNSHARE, 'sh', '-c', script], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  afterThisTest(async () => {
    child.stdin.end()
    await ended
  })
  await Promise.race([once(child.stdout, 'data'), ended])
  if (child.pid === undefined || child.exitCode !== null) throw new Error('the namespaces could not be created')
  return child.pid
}

function inNetworkOf(pid: number, args: readonly string[]): void {
  const { status, stderr } = spawnSync('nsenter', ['--target', String(pid), '--net', 'ip', ...args])
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr.toString()}`)
}

function makeHost(pid: number): Host {
  return {
    run: (command, { cwd, env }) => {
      const child = spawn('nsenter', ['--target', String(pid), ...UNSHARE, `--wd=${cwd}`, ...command], {
        env: { PATH: `${path.dirname(process.execPath)}:${process.env['PATH'] ?? ''}`, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const ended = once(child, 'close')
      afterThisTest(async () => {
        child.kill('SIGKILL')
        await ended
      })
      return child
    },
  }
}
