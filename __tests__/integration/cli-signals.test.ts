import { expect, it } from '@jest/globals'
import { execFileSync } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import http from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import { constants } from 'node:os'
import path from 'node:path'
import type { GatewayEmulator, GatewayFault } from '../../lib/testing/index.js'
import { envFor, makeFolder, preload, startCli, useCli, type CliRun } from '../support/cli.js'
import { freePort } from '../support/free-port.js'
import { afterThisTest, startGateway } from '../support/gateway.js'
import { describeWith, posix } from '../support/needs.js'

useCli()

/** Far more than the second that the command may take, because the machine may be busy. */
const WATCHDOG_MS = 20_000

/** A module for `preload` that replaces `name` of a built-in module. In `code`, `reached()` reports the phase. */
function replace(module: string, name: string, code: string): string {
  return `
    import builtin from '${module}'
    import { syncBuiltinESMExports } from 'node:module'
    const original = builtin.${name}
    const reached = () => setImmediate(() => process.stderr.write('reached'))
    builtin.${name} = ${code}
    syncBuiltinESMExports()`
}

const HANGING_READ = replace('node:fs', 'read', '() => (reached(), setInterval(() => undefined, 1_000))')
const TERMINAL = `
  Object.assign(process.stderr, { isTTY: true, columns: 80, hasColors: () => false })`

const FOREVER = 'new Promise(() => setInterval(() => undefined, 1_000))'

async function makePipe(): Promise<string> {
  const pipe = path.join(await makeFolder(), 'pipe')
  execFileSync('mkfifo', [pipe])
  return pipe
}

async function makeFile(name: string, content: string): Promise<string> {
  const file = path.join(await makeFolder(), name)
  await writeFile(file, content, { mode: 0o600 })
  return file
}

const users = (n: number): string => Array.from({ length: n }, (_, i) => `user-${i}\n`).join('')

/** Starts the command, and waits until it has printed `text` to standard error. */
async function startUntil(args: readonly string[], env: Record<string, string>, text = 'reached'): Promise<CliRun> {
  const run = startCli(args, env)
  while (!run.stderr().includes(text)) await once(run.child.stderr ?? run.child, 'data')
  return run
}

/** Starts the command with a gateway, and waits until that has received `n` requests. */
async function startMinting(
  { n, fault, input = '' }: { n: number; fault?: (request: { headers: object }) => GatewayFault; input?: string },
  args: readonly string[] = ['token', '--from', '-'],
): Promise<{ run: CliRun; gateway: GatewayEmulator }> {
  const received = new EventEmitter()
  const gateway = await startGateway({
    onRequest: request => {
      setImmediate(() => received.emit('request'))
      return fault?.(request)
    },
  })
  const run = startCli(args, envFor(gateway))
  run.child.stdin?.on('error', () => undefined)
  run.child.stdin?.write(input)
  while (gateway.requests.length < n) await once(received, 'request')
  return { run, gateway }
}

/** Starts a server that accepts connections and never responds, and waits until the command has connected. */
async function startWithSilentServer(protocol: string): Promise<CliRun> {
  const server = createServer(socket => socket.on('error', () => undefined)).listen(0, '127.0.0.1')
  afterThisTest(() => Promise.resolve(void server.close()))
  await once(server, 'listening')
  const url = `${protocol}://127.0.0.1:${(server.address() as AddressInfo).port}`
  const run = startCli(['doctor'], { VKIT_APP_SECRET: 'secret', VKIT_BASE_URL: url })
  await once(server, 'connection')
  return run
}

async function startWithStore(code: string): Promise<CliRun> {
  const store = await makeFile('store.mjs', `process.stderr.write('reached')\n${code}`)
  const gateway = await startGateway()
  return startUntil(['doctor', '--store', store], envFor(gateway))
}

const ENV = { VKIT_APP_SECRET: 'secret' }

const PHASES: Record<string, () => Promise<CliRun>> = {
  'token, reading the secret from standard input': () => {
    const onRead = `
      const { get } = Object.getOwnPropertyDescriptor(process, 'stdin')
      const reached = () => setImmediate(() => process.stderr.write('reached'))
      Object.defineProperty(process, 'stdin', { get: () => (reached(), get.call(process)) })`
    return startUntil(['token', 'user', '--secret-file', '-'], preload(onRead))
  },
  'token, reading the secret from a named pipe': async () => {
    const onOpen = replace('node:fs/promises', 'open', '(...args) => (reached(), original(...args))')
    return startUntil(['token', 'user', '--secret-file', await makePipe()], preload(onOpen))
  },
  'token, reading the resumed file': async () => {
    const out = await makeFile('tokens.ndjson', '')
    return startUntil(['token', 'user', '--out', out, '--resume'], { ...ENV, ...preload(HANGING_READ) })
  },
  'token, counting the list': async () => {
    const from = await makeFile('users.txt', users(3))
    return startUntil(['token', '--from', from], { ...ENV, ...preload(HANGING_READ, TERMINAL) })
  },
  'token, waiting for the list': async () => (await startMinting({ n: 5, input: users(5) })).run,
  'token, waiting for the gateway': async () => {
    return (await startMinting({ n: 1, input: users(100), fault: () => ({ silence: true }) })).run
  },
  'token, waiting for the gateway without a list': async () => {
    return (await startMinting({ n: 1, fault: () => ({ silence: true }) }, ['token', 'a', 'b'])).run
  },
  'token, waiting in an outage': async () => {
    return (await startMinting({ n: 12, input: users(100), fault: () => ({ status: 503 }) })).run
  },
  'token, writing to a pipe that is not read': async () => {
    const { run, gateway } = await startMinting({ n: 1, input: users(5_000) })
    run.child.stdout?.pause()
    while (gateway.mints < 200) await new Promise(setImmediate)
    return run
  },
  'token, reporting to a pipe that is not read': async () => {
    const { run, gateway } = await startMinting({ n: 1, input: users(5_000), fault: () => ({ status: 403 }) })
    run.child.stderr?.pause()
    while (gateway.requests.length < 300) await new Promise(setImmediate)
    return run
  },
  'token, exiting while a thread is busy': async () => {
    const gateway = await startGateway()
    const block = `
      import fs from 'node:fs'
      process.on('exit', () => fs.writeSync(2, 'reached'))
      fs.open('${await makePipe()}', () => undefined)`
    return startUntil(['token', 'user'], { ...envFor(gateway), ...preload(block) })
  },
  'emulator, idle': () => startUntil(['emulator', '--port', '0'], ENV, 'Ctrl-C'),
  'emulator, holding a request': async () => {
    const port = await freePort()
    const run = await startUntil(['emulator', '--port', `${port}`, '--fault', 'silence'], ENV, 'Ctrl-C')
    const request = http.request({ port, host: '127.0.0.1', method: 'POST' }).on('error', () => undefined)
    await once(request.end(), 'finish')
    return run
  },
  'doctor, resolving the name': () => {
    const lookup = replace('node:dns/promises', 'lookup', `() => (reached(), ${FOREVER})`)
    return startUntil(['doctor'], { ...ENV, VKIT_BASE_URL: 'https://gateway.invalid', ...preload(lookup) })
  },
  'doctor, in the TLS handshake': () => startWithSilentServer('https'),
  'doctor, waiting for the gateway': () => startWithSilentServer('http'),
  'doctor, minting': async () => {
    const fault = ({ headers }: { headers: object }): GatewayFault =>
      'authorization' in headers ? { silence: true } : {}
    return (await startMinting({ n: 2, fault }, ['doctor'])).run
  },
  'doctor, loading a store that hangs': () => startWithStore(`await ${FOREVER}`),
  'doctor, loading a store that blocks': () => startWithStore('for (;;);'),
  'doctor, testing a store that hangs': () => {
    return startWithStore(`export default { get: () => ${FOREVER}, set: () => ${FOREVER}, delete: () => ${FOREVER} }`)
  },
}

describeWith(posix, 'one signal ends vkit', () => {
  const table = Object.entries(PHASES).flatMap(([phase, start]) =>
    (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map(signal => [phase, signal, start] as const),
  )

  it.each(table)('%s: %s', async (phase, signal, start) => {
    const { child, result } = await start()
    const watchdog = setTimeout(() => child.kill('SIGKILL'), WATCHDOG_MS)
    const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
    child.kill(signal)
    const [code, endedBy] = await exited
    clearTimeout(watchdog)
    // A shell reports a process that a signal ended in the same way.
    const reported = code ?? 128 + constants.signals[endedBy ?? 'SIGKILL']
    expect(reported).toBe(phase.startsWith('emulator') ? 0 : 128 + constants.signals[signal])
    for (const stream of [child.stdout, child.stderr]) stream?.resume()
    await result
  })
})
