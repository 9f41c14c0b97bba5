import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { once } from 'node:events'
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { parseEnv } from 'node:util'
import { parse } from 'yaml'
import { isEmulatorSecret } from '../../lib/secret/app-secret.js'
import { installCopy, installedAt } from '../support/docs/package-copy.js'
import { networkNamespaces, startHosts, type Host, type HostProcess } from '../support/hosts.js'
import { describeWith } from '../support/needs.js'

/** The tests start several processes, which is slow on a busy machine. */
jest.setTimeout(60_000)

interface Service {
  readonly command?: readonly string[]
  readonly env_file: string
  readonly environment?: Record<string, string>
  readonly ports: readonly string[]
}

const EXAMPLE = 'examples/docker'
const read = (file: string): string => readFileSync(path.join(EXAMPLE, file), 'utf8')
const compose = parse(read('compose.yaml')) as { readonly services: Record<'app' | 'emulator', Service> }
const { app, emulator } = compose.services
const dockerfile = read('Dockerfile')
const variables = parseEnv(read('.env.example')) as Record<string, string>
/** It has the claims of an app secret of Video.io. */
const REAL_SECRET = [{ alg: 'HS256' }, { acid: 'a', role: 'app', iat: 1, iss: 'video.io', jti: 'b' }, {}]
  .map(part => Buffer.from(JSON.stringify(part)).toString('base64url'))
  .join('.')

describe('the Docker example', () => {
  it('publishes its ports on this machine only, and not that of the gateway', () => {
    expect(Object.keys(compose.services)).toEqual(['app', 'emulator'])
    expect([...app.ports, ...emulator.ports]).toEqual(['127.0.0.1:3000:3000', '127.0.0.1:8788:8788'])
  })

  it('has no secret, except a public one of an emulator for a file that git and Docker ignore', () => {
    expect(Object.keys(variables)).toEqual(['VKIT_APP_SECRET'])
    expect(isEmulatorSecret(variables['VKIT_APP_SECRET'] ?? '')).toBe(true)
    for (const file of ['compose.yaml', 'Dockerfile', 'server.js'])
      expect(read(file)).not.toMatch(/eyJ|VKIT_APP_SECRET/)
    expect([app.env_file, emulator.env_file]).toEqual(['.env', '.env'])
    expect(read('.gitignore').split('\n')).toContain('.env')
    expect(read('.dockerignore').split('\n').slice(1)).toEqual(['*', '!package.json', '!server.js', ''])
  })

  it('runs without root, and installs this major version of the package', () => {
    expect(dockerfile).toMatch(/^USER node\nCMD /m)
    const { name, version } = JSON.parse(readFileSync('package.json', 'utf8')) as { name: string; version: string }
    const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> }
    expect(dependencies).toEqual({ [name]: `^${version.split('.')[0] ?? ''}.0.0` })
  })
})

describeWith(networkNamespaces, 'the services of the Docker example, each on a host of its own', () => {
  /** The folder /app of the image, with the package built from the current lib/. */
  let folder: string
  beforeAll(async () => {
    folder = await installCopy()
    for (const [, files = ''] of dockerfile.matchAll(/^COPY (.+) \.\/$/gm)) {
      for (const file of files.split(' ')) copyFileSync(path.join(EXAMPLE, file), path.join(folder, file))
    }
    const vkit = installedAt(folder, 'dist/cli/vkit.js')
    chmodSync(vkit, 0o755)
    mkdirSync(path.join(folder, 'node_modules/.bin'))
    symlinkSync(vkit, path.join(folder, 'node_modules/.bin/vkit'))
  }, 120_000)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** Starts a service with its command and environment, and `secret` in place of the one in .env. */
  function start(host: Host, { command, environment }: Service, secret = variables['VKIT_APP_SECRET']): HostProcess {
    const defaultCommand = JSON.parse(/^CMD (.*)$/m.exec(dockerfile)?.[1] ?? '[]') as string[]
    const env = { ...variables, ...environment, VKIT_APP_SECRET: secret ?? '' }
    return host.run(command ?? defaultCommand, { cwd: folder, env })
  }

  /** Runs a script with `node:http` and `node:net` on that host, and returns its output. */
  function runScript(host: Host, script: string): Promise<string> {
    return text(host.run([process.execPath, '-e', script], { cwd: folder }).stdout)
  }

  /** Sends a GET to that URL, with the `Host` that a browser on the machine of the containers sends. */
  async function get(from: Host, url: string): Promise<{ status: number; body: string }> {
    const host = `127.0.0.1:${new URL(url).port}`
    const script = `http.get(${JSON.stringify(url)}, { headers: { host: '${host}' } }, async res => {
      console.log(JSON.stringify({ status: res.statusCode, body: Buffer.concat(await res.toArray()).toString() }))
    })`
    return JSON.parse(await runScript(from, script)) as { status: number; body: string }
  }

  it('mint through the emulator, serve its page, and end on SIGTERM', async () => {
    const hosts = await startHosts('app', 'emulator')
    const gateway = start(hosts.emulator, emulator)
    await untilPrinted(gateway, 'stderr', 'Ctrl-C')
    const server = start(hosts.app, app)
    await untilPrinted(server, 'stdout', 'Session service listening on port 3000\n')

    // From the other host, as requests to a published port.
    const { status, body } = await get(hosts.emulator, 'http://app:3000/token?identity=another-user')
    expect([status, JSON.parse(body)]).toEqual([200, expect.objectContaining({ identity: 'END_USER_ID' })])
    expect((await get(hosts.emulator, 'http://app:3000/')).body).toBe('Session Service')
    expect((await get(hosts.emulator, 'http://app:3000/other')).status).toBe(404)
    expect((await get(hosts.app, 'http://emulator:8788/')).body).toContain('<title>')
    const requests = await get(hosts.app, 'http://emulator:8788/_emulator/requests')
    expect(JSON.parse(requests.body)).toMatchObject({ requests: [{ identity: 'END_USER_ID', status: 200 }] })

    for (const child of [server, gateway]) {
      const ended = once(child, 'close')
      child.kill('SIGTERM')
      expect(await ended).toEqual([0, null])
    }
  })

  it('start without the gateway, and respond with 503 meanwhile', async () => {
    const hosts = await startHosts('app', 'emulator')
    const server = start(hosts.app, app)
    const errors = text(server.stderr)
    await untilPrinted(server, 'stdout', 'Session service listening on port 3000\n')
    expect((await get(hosts.emulator, 'http://app:3000/token')).status).toBe(503)
    server.kill('SIGTERM')
    expect(await errors).toMatch(/^No connection to the gateway yet: .*ECONNREFUSED/)
  })

  it('do not send a real secret: the app ends before it opens a connection', async () => {
    const hosts = await startHosts('app', 'emulator')
    const script = `let count = 0
      net.createServer(socket => socket.on('error', () => {}).end(String(++count))).listen(8787, () => console.log('listening'))`
    const listener = hosts.emulator.run([process.execPath, '-e', script], { cwd: folder })
    await untilPrinted(listener, 'stdout', 'listening')
    const countConnections = async (): Promise<number> =>
      Number(await runScript(hosts.app, `net.connect(8787, 'emulator').pipe(process.stdout)`)) - 1

    const refused = start(hosts.app, app, REAL_SECRET)
    const [out, errors, [code]] = await Promise.all([
      text(refused.stdout),
      text(refused.stderr),
      once(refused, 'close') as Promise<[number]>,
    ])
    expect({ code, out, errors }).toEqual({
      code: 1,
      out: '',
      errors:
        'VKIT_BASE_URL must begin with https://. http:// is allowed for loopback hosts only, because it exposes the ' +
        'secret. For an emulator on another host, use an app secret that an emulator created.\n',
    })
    expect(await countConnections()).toBe(0)

    // The same with the secret of an emulator connects, so the count above means something.
    await untilPrinted(start(hosts.app, app), 'stdout', 'Session service listening on port 3000\n')
    expect(await countConnections()).toBe(2)
  })
})

/** Waits until the process has printed `wanted`. */
async function untilPrinted(child: HostProcess, stream: 'stdout' | 'stderr', wanted: string): Promise<void> {
  let printed = ''
  for await (const chunk of child[stream].iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    printed += chunk.toString()
    if (printed.includes(wanted)) return void child[stream].resume()
  }
  throw new Error(`the process ended: ${printed}`)
}
