import { describe, expect, it } from '@jest/globals'
import { openSync } from 'node:fs'
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import manifest from '../../package.json' with { type: 'json' }
import { VKitClient } from '../../lib/index.js'
import { GatewayEmulator, type GatewayFault } from '../../lib/testing/index.js'
import { bundlePath, envFor, makeFolder, platform, preload, runCli, startCli, useCli } from '../support/cli.js'
import { failureOf } from '../support/failure.js'
import { afterThisTest, startGateway } from '../support/gateway.js'
import { describeWith, itWith, posix } from '../support/needs.js'

useCli()

const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/
const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const SECRET = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ role: 'app', iat: 1_600_000_000 })}.c2lnbmF0dXJl`

describe('vkit', () => {
  it.each([['--help'], ['help'], ['-h']])('%s lists the commands and the exit codes', async flag => {
    const { code, stdout } = await runCli([flag])
    expect(code).toBe(0)
    expect(stdout).toContain('vkit doctor')
    expect(stdout).toContain('Exit codes')
  })

  it.each([['token'], ['emulator'], ['doctor']])('%s --help describes the command', async command => {
    const { code, stdout, stderr } = await runCli([command, '--help'])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(new RegExp(`^vkit ${command} .*–`))
    expect(await runCli(['help', command])).toMatchObject({ code: 0, stdout })
  })

  it('--version prints the version of the package', async () => {
    expect((await runCli(['--version'])).stdout).toBe(`${manifest.version}\n`)
  })

  it('has no manifest in its bundle', async () => {
    const folder = path.dirname(bundlePath())
    const files = await readdir(folder)
    const texts = await Promise.all(files.map(file => readFile(path.join(folder, file), 'utf8')))
    expect(texts.join('')).toContain('VKIT_APP_SECRET')
    expect(texts.join('')).not.toContain('devDependencies')
  })

  it.each([
    [[]],
    [['mint']],
    [['token']],
    [['token', 'a', '--from', 'b']],
    [['token', 'a', '--resume']],
    [['token', 'a', '--concurrency', '0']],
    [['token', 'a', '--scopes', 'videos.read']],
    [['token', '--from', '-', '--secret-file', '-']],
    [['token', '']],
    [['token', 'a', '', 'b', '--json']],
    [['token', '', '--out', 'tokens.ndjson']],
    [['token', 'a', '--max-outage', 'soon']],
    [['emulator', '--port', '70000']],
    [['emulator', '--fault', 'flood']],
    [['emulator', '--fault', 'x3']],
    [['emulator', '--page-port', 'x']],
    [['emulator', '--allow-host', '*']],
    [['emulator', '--allow-host', 'http://emulator']],
    [['doctor', 'now']],
  ])('reports a usage error for %j', async args => {
    const { code, stdout, stderr } = await runCli(args)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain('--help')
  })

  it.each([
    ['token a -o x', 'Unknown option -o. Did you mean --out?'],
    ['token a --otu x', 'Unknown option --otu. Did you mean --out?'],
    ['token a -v', 'Unknown option -v. Did you mean vkit --version?'],
    ['token a --hunter2', 'Unknown option.'],
    ['token a --out', '--out needs a value.'],
    ['token a --out --resume', '--out needs a value.'],
    ['token a --out=', '--out needs a value.'],
    ['token a --json=yes', '--json takes no value.'],
    ['emulator --prot 0', 'Unknown option --prot. Did you mean --port?'],
    ['emulator --fault foo', 'Unknown fault. Faults: 503 (or another status), retry-after=2, delay=800ms, reset,'],
    ['docter', 'Unknown command. Did you mean doctor? Commands: token, emulator, doctor.'],
  ])('vkit %s explains what is wrong', async (args, message) => {
    const { code, stderr } = await runCli(args.split(' '))
    expect(code).toBe(2)
    expect(stderr).toContain(`error: ${message}`)
  })

  it('calls a missing folder a missing folder', async () => {
    const env = { VKIT_APP_SECRET: 'secret' }
    const missing = path.join(await makeFolder(), 'nowhere', 'file')
    for (const flag of ['--from', '--secret-file']) {
      const { code, stderr } = await runCli(['token', ...(flag === '--from' ? [] : ['a']), flag, missing], { env })
      expect([code, stderr]).toEqual([6, expect.stringContaining('its folder does not exist') as unknown])
    }
  })

  it.each([
    [['token', SECRET]],
    [['token', `--app-secret=${SECRET}`]],
    [['token', 'user', '--secret', SECRET]],
    [['token', `Bearer ${SECRET}`]],
    [[SECRET]],
    [['doctor', '--identity', SECRET]],
    [['token', 'user', '--token', 'hunter2']],
    [['token', 'user', '--secret=hunter2']],
  ])('refuses an argument that looks like a secret, and does not repeat it: %#', async args => {
    const { code, stdout, stderr } = await runCli(args)
    expect(code).toBe(2)
    expect(stderr).toContain('VKIT_APP_SECRET')
    expect(stdout + stderr).not.toMatch(/eyJ|hunter2/)
  })

  it('refuses the secret from the environment as an argument, whatever its format', async () => {
    const { code, stderr } = await runCli(['token', 'opaque-secret'], { env: { VKIT_APP_SECRET: 'opaque-secret' } })
    expect(code).toBe(2)
    expect(stderr).not.toContain('opaque-secret')
  })
})

describe('vkit token', () => {
  it('prints only the token', async () => {
    const gateway = await startGateway()
    const { code, stdout, stderr } = await runCli(['token', 'user'], { env: envFor(gateway) })
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout.endsWith('\n')).toBe(true)
    expect(stdout.trim()).toMatch(JWT)
    expect(gateway.requests[0]?.body).toEqual({ identity: 'user', scopes: [] })
  })

  it('prints JSON, with scopes', async () => {
    const gateway = await startGateway()
    const args = ['token', 'user', '--scope', 'videos.read', '--scope', 'videos.edit', '--json']
    const { stdout } = await runCli(args, { env: envFor(gateway) })
    expect(JSON.parse(stdout)).toEqual({
      identity: 'user',
      sessionToken: expect.stringMatching(JWT) as unknown,
      expiresAt: expect.stringMatching(/Z$/) as unknown,
      scopes: ['videos.edit', 'videos.read'],
    })
  })

  it('prints the tokens of several identities in order, with an empty line for one that failed', async () => {
    const gateway = await startGateway()
    gateway.failNext({ status: 403, body: { error: 'not this one' } })
    const args = ['token', 'a', 'b', 'a', 'c', '--concurrency', '1']
    const { code, stdout, stderr } = await runCli(args, { env: envFor(gateway) })
    expect(code).toBe(1)
    expect(stderr).toContain('failed: "a": VKIT_FORBIDDEN')
    const identities = stdout
      .split('\n')
      .slice(0, -1)
      .map(line => line && (JSON.parse(Buffer.from(line.split('.')[1] ?? '', 'base64url').toString()) as object))
    expect(identities).toHaveLength(4)
    expect(identities[1]).toMatchObject({ identity: 'b' })
    expect(identities[3]).toMatchObject({ identity: 'c' })
  })

  it('escapes terminal control characters in an identity and in the text of the gateway', async () => {
    const gateway = await startGateway()
    const identity = 'a\u001b[2J\u202e\u200f'
    gateway.failNext({ status: 403, body: { error: 'no\u001b[2J\u009b1m\u202e\u200f rights' } })
    const args = ['token', identity, '--json']
    const failed = await runCli(args, { env: envFor(gateway) })
    expect(failed.stderr).toContain('failed: "a\\u001b[2J\\u202e\\u200f": VKIT_FORBIDDEN')
    const { stdout } = await runCli(args, { env: envFor(gateway) })
    expect(failed.stderr + stdout).not.toMatch(/(?!\n)[\p{Cc}\u200f\u202e]/u)
    expect(JSON.parse(stdout)).toMatchObject({ identity })
  })

  it('accepts an identity that looks like an option after --', async () => {
    const gateway = await startGateway()
    expect((await runCli(['token', '--', '--help'], { env: envFor(gateway) })).code).toBe(0)
    expect(gateway.requests[0]?.body).toMatchObject({ identity: '--help' })
  })

  it.each<[string, number, GatewayFault]>([
    ['refuses the secret', 4, { status: 401 }],
    ['is down', 5, { status: 503 }],
    ['refuses the identity', 1, { status: 422 }],
  ])('has its own exit code if the gateway %s', async (_, expected, fault) => {
    const gateway = await startGateway()
    gateway.fail(fault)
    const { code, stdout } = await runCli(['token', 'user'], { env: envFor(gateway) })
    expect([code, stdout.trim()]).toEqual([expected, ''])
  })

  it('does not let Node print the secret', async () => {
    const gateway = await startGateway()
    const { code, stderr } = await runCli(['token', 'user'], { env: { ...envFor(gateway), NODE_DEBUG: 'http' } })
    expect(code).toBe(3)
    expect(stderr).not.toContain(gateway.appSecret)
  })

  it('without a secret reports where it looked', async () => {
    const { code, stderr } = await runCli(['token', 'user'])
    expect(code).toBe(3)
    expect(stderr).toContain('VKIT_APP_SECRET')
    expect(stderr).toContain('--secret-file')
  })

  itWith(posix, 'reads the secret from a file, and warns if other users can read that file', async () => {
    const gateway = await startGateway()
    const file = path.join(await makeFolder(), 'secret')
    await writeFile(file, `${gateway.appSecret}\n`, { mode: 0o600 })
    const args = ['token', 'user', '--secret-file', file]
    const env = { VKIT_BASE_URL: gateway.url, VKIT_APP_SECRET: 'another' }
    expect(await runCli(args, { env })).toMatchObject({ code: 0, stderr: '' })
    await chmod(file, 0o644)
    const { code, stderr } = await runCli(args, { env })
    expect(code).toBe(0)
    expect(stderr).toContain('chmod 600')
  })

  it('mints nothing if an identity is empty, and suggests that a shell variable is not set', async () => {
    const gateway = await startGateway()
    const { code, stdout, stderr } = await runCli(['token', 'anna', ''], { env: envFor(gateway) })
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain('An identity is empty. Is a shell variable not set?')
    expect(gateway.requests).toHaveLength(0)
  })

  it('reports an identity that the client refuses, and mints for the others', async () => {
    const gateway = await startGateway()
    const args = ['token', 'anna', 'x'.repeat(2_000), 'undefined', 'bob']
    const { code, stdout, stderr } = await runCli(args, { env: envFor(gateway) })
    expect(code).toBe(1)
    expect(stdout.split('\n').map(line => line.length > 0)).toEqual([true, false, false, true, false])
    expect(stderr).toMatch(/^failed: "x+": VKIT_INVALID_ARGUMENT: /)
    expect(stderr).toMatch(/^failed: "undefined": VKIT_INVALID_ARGUMENT: identity must not be the string undefined/m)
    expect(gateway.mints).toBe(2)
  })

  itWith(posix, 'refuses a secret file that does not end', async () => {
    const { code, stderr } = await runCli(['token', 'user', '--secret-file', '/dev/zero'])
    expect([code, stderr]).toEqual([3, 'error: The secret file is too long to be a secret.\n'])
  })

  it('reads the secret from standard input', async () => {
    const gateway = await startGateway()
    const args = ['token', 'user', '--secret-file', '-', '--base-url', gateway.url]
    expect((await runCli(args, { input: `${gateway.appSecret}\n` })).code).toBe(0)
    expect(gateway.mints).toBe(1)
  })

  itWith(posix, 'ends without an error message when its reader closes the pipe', async () => {
    const gateway = await startGateway()
    const { child, result } = startCli(['token', '--from', '-'], envFor(gateway))
    child.stdout?.once('data', () => child.stdout?.destroy())
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(Array.from({ length: 20_000 }, (_, i) => `user-${i}\n`).join(''))
    const { code, stderr } = await result
    expect(code).toBe(141)
    expect(stderr).not.toContain('EPIPE')
    expect(gateway.mints).toBeLessThan(20_000)
  })
})

describeWith(posix, 'output that cannot be written', () => {
  it('is reported in one line, with its own exit code', async () => {
    const gateway = await startGateway()
    const { child, result } = startCli(['token', '--from', '-'], envFor(gateway), openSync('package.json', 'r'))
    child.stdin?.end('anna\nbob\n')
    const { code, stderr } = await result
    expect(code).toBe(6)
    expect(stderr).toContain('error: Cannot write the output: EBADF.')
    expect(stderr).not.toContain('    at ')
  })
})

describeWith(posix, 'vkit emulator', () => {
  interface Started {
    readonly text: string
    readonly url: string
    readonly secret: string
    readonly page: string
    readonly log: () => string
    readonly end: () => Promise<number | null>
  }

  async function started(args: string[], env = {}): Promise<Started> {
    const { child, result, stderr } = startCli(['emulator', '--port', '0', ...args], env)
    const text = await new Promise<string>(resolve => {
      let seen = ''
      const look = (): void => {
        if (seen.includes('VKIT_BASE_URL') && stderr().includes('Ctrl-C')) resolve(seen)
      }
      child.stderr?.on('data', look)
      child.stdout?.on('data', (chunk: Buffer) => {
        seen += chunk.toString()
        look()
      })
    })
    return {
      text,
      url: /VKIT_BASE_URL=(\S+)/.exec(text)?.[1] ?? '',
      secret: /VKIT_APP_SECRET=(\S+)/.exec(text)?.[1] ?? '',
      page: /Watch and steer it: (\S+)/.exec(stderr())?.[1] ?? '',
      log: stderr,
      end: async () => {
        child.kill('SIGINT')
        return (await result).code
      },
    }
  }

  it('works as a gateway, and logs each request', async () => {
    const { url, secret, log, end } = await started(['--ttl', '10m'])
    await using client = new VKitClient({ appSecret: secret, baseUrl: url })
    const token = await client.getSessionToken('a "user"\u001b[31m', ['videos.read'])
    expect(Date.parse(token.expiresAt) - Date.now()).toBeLessThanOrEqual(600_000)
    expect(await end()).toBe(0)
    expect(log()).toMatch(/200 {2}POST \/v1\/sessions {2}"a \\"user\\"\\u001b\[31m" {2}"videos\.read" {2}\d+ ms/)
    expect(log()).toContain('1 token minted.')
    expect(log()).not.toContain('\u001b')
  })

  it('responds with the faults of --fault', async () => {
    const { url, secret, end } = await started(['--fault', '429,retry-after=0,x2', '--fault', '422,x1', '--quiet'])
    const codes: (string | undefined)[] = []
    await using client = new VKitClient({ appSecret: secret, baseUrl: url, maxRetries: 0 })
    for await (const { error } of client.getSessionTokens(['a', 'b', 'c', 'd'], { concurrency: 1, onOutage: 'fail' })) {
      codes.push(error?.code)
    }
    expect(codes).toEqual(['VKIT_RATE_LIMITED', 'VKIT_RATE_LIMITED', 'VKIT_INVALID_REQUEST', undefined])
    expect(await end()).toBe(0)
  })

  it('prints the settings for the shells of Windows', async () => {
    const { text, end } = await started([], { VKIT_APP_SECRET: SECRET, ...preload(platform('win32')) })
    expect(text).toMatch(/^# PowerShell\n\$env:VKIT_BASE_URL = '(http:\/\/\S+)'\n\nrem cmd\nset "VKIT_BASE_URL=\1"\n$/)
    await end()
  })

  it('serves a page, which steers the gateway, and prints a rotated secret', async () => {
    const { url, secret, page, log, end } = await started(['--page-port', '0', '--quiet'])
    expect(await (await fetch(page)).text()).toContain('<title>vkit emulator</title>')
    const put = (body: object): Promise<Response> =>
      fetch(`${page}/_emulator/faults`, { method: 'PUT', body: JSON.stringify(body) })
    await put({ faults: [{ status: 400 }] })
    await using client = new VKitClient({ appSecret: secret, baseUrl: url })
    expect(await failureOf(client.getSessionToken('user'))).toMatchObject({ code: 'VKIT_INVALID_REQUEST' })

    expect(await (await put({ secretRotated: true })).text()).not.toContain('eyJ')
    const rotated = /VKIT_APP_SECRET=(\S+)/.exec(log())?.[1] ?? ''
    // Not the same user: the client remembers the 400.
    expect(await failureOf(client.getSessionToken('another'))).toMatchObject({ code: 'VKIT_UNAUTHENTICATED' })
    await using restarted = new VKitClient({ appSecret: rotated, baseUrl: url })
    expect((await restarted.getSessionToken('user')).identity).toBe('user')
    await put({})
    expect(log()).toContain('The emulator accepts its first app secret again.')
    expect(await end()).toBe(0)
  })

  it.each(['127.0.0.2', '::1', '::', '0.0.0.0'])('prints addresses that work with --host %s', async host => {
    const { url, page, end } = await started(['--page-port', '0', '--host', host])
    expect([(await fetch(page)).status, (await fetch(url)).status]).toEqual([200, 404])
    expect(await end()).toBe(0)
  })

  it('serves no page with --no-page', async () => {
    const { page, end } = await started(['--no-page'])
    expect(page).toBe('')
    expect(await end()).toBe(0)
  })

  it('uses another port for the page if another program has the default one, but not one of --page-port', async () => {
    const busy = new GatewayEmulator({ port: 8788 })
    await busy.start().catch(() => undefined) // Another program has the port already.
    afterThisTest(() => busy.stop())
    const { page, end } = await started([])
    expect(page).not.toContain('8788')
    expect((await fetch(page)).status).toBe(200)
    await end()
    const { code, stderr } = await runCli(['emulator', '--port', '0', '--page-port', '8788'])
    expect([code, stderr]).toEqual([1, expect.stringContaining('Choose another one with --page-port')])
  })

  it('accepts the secret from the environment, and does not print it', async () => {
    const { url, secret, log, end } = await started([], { VKIT_APP_SECRET: SECRET })
    expect(secret).toBe('')
    await using client = new VKitClient({ appSecret: SECRET, baseUrl: url })
    expect((await client.getSessionToken('user')).identity).toBe('user')
    await end()
    expect(log()).not.toContain(SECRET)
  })
})
