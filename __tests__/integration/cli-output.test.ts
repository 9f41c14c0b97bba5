import { describe, expect, it } from '@jest/globals'
import { once } from 'node:events'
import { chmod, link, lstat, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import net from 'node:net'
import path from 'node:path'
import { envFor, makeFolder, platform, preload, runCli, startCli, useCli, type CliRun } from '../support/cli.js'
import { afterThisTest, startGateway } from '../support/gateway.js'
import { describeWith, posix } from '../support/needs.js'
import { untilTrue } from '../support/until.js'
import { formatToken } from '../../lib/cli/token/sinks.js'
import type { GatewayEmulator } from '../../lib/testing/index.js'

useCli()

const users = (n: number): string[] => Array.from({ length: n }, (_, i) => `user-${i}`)

interface Setup {
  readonly gateway: GatewayEmulator
  readonly folder: string
  readonly out: string
  readonly args: string[]
  readonly env: Record<string, string>
  /** Returns the identities in the file, sorted. */
  readonly written: () => Promise<string[]>
}

async function setUp(identities: readonly string[]): Promise<Setup> {
  const gateway = await startGateway()
  const folder = await makeFolder()
  const [from, out] = [path.join(folder, 'users.txt'), path.join(folder, 'tokens.ndjson')]
  await writeFile(from, identities.join('\n'))
  return {
    gateway,
    folder,
    out,
    args: ['token', '--from', from, '--out', out, '--resume'],
    env: { ...envFor(gateway), TMPDIR: folder },
    written: async () => identitiesOf(await readFile(out, 'utf8')),
  }
}

function identitiesOf(ndjson: string): string[] {
  const lines = ndjson.split('\n')
  expect(lines.pop()).toBe('')
  return lines.map(line => (JSON.parse(line) as { identity: string }).identity).sort()
}

function tokenLine(identity: string): string {
  return formatToken({ identity, sessionToken: 'forged', expiresAt: '2099-01-01T00:00:00Z', scopes: [] })
}

describeWith(posix, 'two runs on one --out', () => {
  describe.each([
    ['with a socket without a file (Linux)', process.platform],
    ['with a socket file (macOS)', 'darwin' as const],
  ])('%s', (_, name) => {
    async function setUpOn(n: number): Promise<Setup> {
      const setup = await setUp(users(n))
      return { ...setup, env: { ...setup.env, ...preload(platform(name)) } }
    }

    /** Starts a run and waits until it has sent requests, so it has the lock. Its requests have no response yet. */
    async function startHolder({ gateway, args, env }: Setup): Promise<CliRun> {
      gateway.fail({ silence: true })
      const before = gateway.requests.length
      const run = startCli(args, env)
      await untilTrue(() => gateway.requests.length > before)
      return run
    }

    it('the second ends and says who writes, and the lock ends with the first, even after kill -9', async () => {
      const setup = await setUpOn(40)
      for (let round = 0; round < 2; round++) {
        const first = await startHolder(setup)
        const second = await runCli(setup.args, { env: setup.env })
        expect(second.code).toBe(6)
        expect(second.stderr).toMatch(
          new RegExp(
            `Another run writes this file: process ${first.child.pid}, since \\d{4}-\\d\\d-\\d\\dT[\\d:]{8}Z. Wait`,
          ),
        )
        first.child.kill('SIGKILL')
        await first.result
      }
      setup.gateway.recover()
      expect(await runCli(setup.args, { env: setup.env })).toMatchObject({ code: 0 })
      expect(await setup.written()).toEqual(users(40).sort())
    })

    it('that start at the same moment: one writes every identity, once', async () => {
      const setup = await setUpOn(300)
      const killed = await startHolder(setup) // It leaves a socket file, where there is one.
      killed.child.kill('SIGKILL')
      await killed.result
      setup.gateway.recover()
      const results = await Promise.all(users(4).map(() => runCli(setup.args, { env: setup.env })))
      for (const { code, stderr } of results)
        if (code !== 0) expect([code, stderr]).toEqual([6, expect.stringContaining('Another run')])
      expect(results.filter(({ code }) => code === 0).length).toBeGreaterThan(0)
      expect(await setup.written()).toEqual(users(300).sort())
      const sockets = (await readdir(setup.folder)).filter(file => file.startsWith('vkit-'))
      expect(sockets).toHaveLength(name === 'darwin' ? 1 : 0)
    })
  })

  it.each([
    ['a line without end', 'x'.repeat(100_000)],
    ['control characters', 'process 1, since \u001b[2J\u001b[2J\u001b[2J\u001b[2JZ'],
    ['nothing', ''],
  ])('the second prints nothing of a process that says %s', async (_, text) => {
    const { args, env, out } = await setUp(users(1))
    await writeFile(out, '', { mode: 0o600 })
    const { dev, ino } = await lstat(out, { bigint: true })
    const server = net.createServer(socket => socket.on('error', () => undefined).write(text))
    server.listen(path.join(env['TMPDIR'] ?? '', `vkit-${dev.toString(36)}-${ino.toString(36)}-0`))
    await once(server, 'listening')
    afterThisTest(async () => void server.close())
    const { code, stderr } = await runCli(args, { env: { ...env, ...preload(platform('darwin')) } })
    expect([code, stderr]).toEqual([
      6,
      'error: Another run writes this file: unknown process. Wait for it, or stop it.\n',
    ])
  })
})

describeWith(posix, 'vkit token --resume', () => {
  const asRoot = `process.getuid = () => ${(process.getuid?.() ?? 0) + 1}`

  it.each<[string, string, (out: string) => Promise<unknown>, string[]?]>([
    ['that every user can write', 'Other users can write', async out => chmod(out, 0o666)],
    ['that a group can write', 'Other users can write', async out => chmod(out, 0o620)],
    ['of another user', 'belongs to another user', async () => undefined, [asRoot]],
    ['with two names', 'a second name', async out => link(out, `${out}.2`)],
  ])('does not continue a file %s', async (_, message, change, modules = []) => {
    const { args, env, out, gateway } = await setUp(users(3))
    await writeFile(out, tokenLine('user-1'), { mode: 0o600 })
    await change(out)
    const { code, stderr } = await runCli(args, { env: { ...env, ...preload(...modules) } })
    expect([code, stderr]).toEqual([6, expect.stringContaining(message)])
    expect(await readFile(out, 'utf8')).toBe(tokenLine('user-1'))
    expect(gateway.requests).toHaveLength(0)
  })

  it.each([
    ['a file', 'linux', true],
    ['no file', 'linux', false],
    ['a file, on Windows', 'win32', true],
  ] as const)('does not follow a link to %s', async (_, name, exists) => {
    const { args, env, out, gateway } = await setUp(users(3))
    await symlink(`${out}.target`, out)
    if (exists) await writeFile(`${out}.target`, tokenLine('user-1'), { mode: 0o600 })
    const { code, stderr } = await runCli(args, { env: { ...env, ...preload(platform(name)) } })
    expect([code, stderr]).toEqual([6, expect.stringContaining('--out is a link')])
    expect(gateway.requests).toHaveLength(0)
  })

  it.each([
    ['another file', 'fs.chmodSync(path, 0o666)', 'Other users can write'],
    [
      'a link',
      'fs.renameSync(path, path + ".2"); fs.symlinkSync(path + ".2", path)',
      'Cannot open the output file: ELOOP',
    ],
  ])('notices that the path leads to %s just before the file is opened', async (_, replace, message) => {
    const { args, env, out } = await setUp(users(3))
    await writeFile(out, tokenLine('user-1'), { mode: 0o600 })
    const source = `
      import fs from 'node:fs'
      const { openSync } = fs
      fs.openSync = (path, ...rest) => {
        if (path.endsWith('tokens.ndjson')) { ${replace} }
        return openSync(path, ...rest)
      }`
    const { code, stderr } = await runCli(args, { env: { ...env, ...preload(source) } })
    expect([code, stderr]).toEqual([6, expect.stringContaining(message)])
  })
})

describe('vkit token --resume after kill -9', () => {
  it.each([1, 7, 20, 64, 150])('at request %d has exactly one line for each identity', async n => {
    const { gateway, args, env, written } = await setUp(users(200))
    const run = startCli(args, env)
    await untilTrue(() => gateway.requests.length >= n)
    run.child.kill('SIGKILL')
    await run.result
    expect(await runCli(args, { env })).toMatchObject({ code: 0 })
    expect(await written()).toEqual(users(200).sort())
  })
})

describe('vkit token --out', () => {
  const hostile = [
    ...['\u001b[2J', '\u009b31m', '\u202e', '\u2066', '\u200f', '\u2028', '\ufff9a\ufffab\ufffb', '\u206a', '\u007f'],
    ...['"', '\\', '\\u001b', 'çağla', '🙂'],
  ].map((text, i) => `${i}${text}x`)

  it('escapes control characters in a file and on standard output', async () => {
    const { args, env, out } = await setUp(hostile)
    await runCli(args, { env })
    const { code, stdout, stderr } = await runCli(['token', ...args.slice(1, 3), '--out', '-'], { env })
    expect(code).toBe(0)
    for (const text of [await readFile(out, 'utf8'), stdout]) {
      expect(text.replaceAll('\n', '')).not.toMatch(
        /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb]/u,
      )
      expect(identitiesOf(text)).toEqual([...hostile].sort())
    }
    expect(stderr).toMatch(/^14 tokens minted[^\n]*\n$/)
  })

  it('- is standard output, in JSON lines', async () => {
    const { env } = await setUp([])
    const { code, stdout } = await runCli(['token', 'anna', 'bob', '--out', '-'], { env })
    expect([code, identitiesOf(stdout)]).toEqual([0, ['anna', 'bob']])
    const resumed = await runCli(['token', 'anna', '--out', '-', '--resume'], { env })
    expect([resumed.code, resumed.stderr]).toEqual([2, expect.stringContaining('--resume requires --out')])
  })

  it.each(['missing/tokens.ndjson', 'users.txt/tokens.ndjson'])('says that a folder does not exist: %s', async file => {
    const { env, folder } = await setUp([])
    const { code, stderr } = await runCli(['token', 'anna', '--out', path.join(folder, file)], { env })
    expect([code, stderr]).toEqual([6, 'error: The folder of --out does not exist.\n'])
  })
})
