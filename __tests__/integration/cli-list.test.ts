import { describe, expect, it } from '@jest/globals'
import { execFileSync, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { open, readFile, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { envFor, makeFolder, platform, preload, runCli, startCli, useCli, type CliRun } from '../support/cli.js'
import { afterThisTest, startGateway } from '../support/gateway.js'
import { describeWith, itWith, posix } from '../support/needs.js'
import type { GatewayEmulator } from '../../lib/testing/index.js'

useCli()

interface TokenLine {
  readonly identity: string
  readonly sessionToken: string
}

function parse(text: string): TokenLine[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line) as TokenLine)
}

const users = (n: number): string => Array.from({ length: n }, (_, i) => `user-${i}\n`).join('')

interface Setup {
  readonly gateway: GatewayEmulator
  readonly afterRequests: (n: number) => Promise<void>
  readonly from: string
  readonly out: string
  readonly args: string[]
  readonly env: Record<string, string>
  readonly lines: () => Promise<TokenLine[]>
}

async function setUp(list: string): Promise<Setup> {
  const { gateway, afterRequests } = await startCountedGateway()
  const folder = await makeFolder()
  const [from, out] = [path.join(folder, 'users.txt'), path.join(folder, 'tokens.ndjson')]
  await writeFile(from, list)
  return {
    gateway,
    afterRequests,
    from,
    out,
    args: ['token', '--from', from, '--out', out],
    env: envFor(gateway),
    lines: async () => parse(await readFile(out, 'utf8')),
  }
}

/** Starts a gateway. `afterRequests(n)` resolves when the gateway has received `n` requests. */
async function startCountedGateway(): Promise<{
  gateway: GatewayEmulator
  afterRequests: (n: number) => Promise<void>
}> {
  const received = new EventEmitter()
  const gateway = await startGateway({
    onRequest: () => {
      received.emit('request')
      return undefined
    },
  })
  const afterRequests = async (n: number): Promise<void> => {
    while (gateway.requests.length < n) await once(received, 'request')
  }
  return { gateway, afterRequests }
}

describe('vkit token --from', () => {
  it('reads one identity per line, without changing it', async () => {
    const gateway = await startGateway()
    const input = '\ufeffanna\r\n\n bob \r\nçağla\nlast'
    const { code, stdout, stderr } = await runCli(['token', '--from', '-'], { env: envFor(gateway), input })
    expect(code).toBe(0)
    expect(
      parse(stdout)
        .map(line => line.identity)
        .sort(),
    ).toEqual([' bob ', 'anna', 'last', 'çağla'].sort())
    expect(stderr).toContain('4 tokens minted, 0 failed')
  })

  it('mints one token for an identity that is in the list twice', async () => {
    const { gateway, args, env, lines } = await setUp(`${users(20)}${users(20)}`)
    expect((await runCli(args, { env })).code).toBe(0)
    expect(await lines()).toHaveLength(20)
    expect(gateway.mints).toBe(20)
  })

  it('reports lines that are not an identity, and continues', async () => {
    const gateway = await startGateway()
    const jwt = gateway.appSecret
    const list = Buffer.concat([
      Buffer.from(`ok\n${jwt}\n`),
      Buffer.from([0x66, 0xff, 0x0a]),
      Buffer.from(`${'x'.repeat(2000)}\nalso ok\n`),
    ])
    const folder = await makeFolder()
    await writeFile(path.join(folder, 'users.txt'), list)
    const { code, stdout, stderr } = await runCli(['token', '--from', path.join(folder, 'users.txt')], {
      env: envFor(gateway),
    })
    expect(code).toBe(1)
    expect(parse(stdout)).toHaveLength(2)
    expect(stderr).toContain('line 2: it looks like a secret')
    expect(stderr).toContain('line 3: it is not UTF-8')
    expect(stderr).toContain('VKIT_INVALID_ARGUMENT')
    expect(stdout + stderr).not.toContain(jwt)
    expect(gateway.requests).toHaveLength(2)
  })

  it('exits with 6 if the list cannot be read', async () => {
    const gateway = await startGateway()
    for (const from of ['/nowhere/users.txt', await makeFolder()]) {
      expect((await runCli(['token', '--from', from], { env: envFor(gateway) })).code).toBe(6)
    }
  })

  it('shows no progress bar without a terminal', async () => {
    const { args, env } = await setUp(users(50))
    const { stdout, stderr } = await runCli(args, { env })
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^50 tokens minted, 0 failed, .*\n$/)
  })

  it('shows a bar of one line on a terminal, and removes it; not with --no-progress', async () => {
    const { gateway, args, env } = await setUp(users(50))
    gateway.failNext({ status: 403 })
    const terminal = (columns: number): Record<string, string> =>
      preload(`Object.assign(process.stderr, { isTTY: true, columns: ${columns}, hasColors: () => false })`)
    const { stderr } = await runCli(args, { env: { ...env, ...terminal(70) } })
    const [shown = '', summary = ''] = stderr.split(/(?=49 tokens minted, 1 failed)/)
    expect(shown).toMatch(/█+ 100% \| 50\/50 \| [\d,]+\/s \| .*limit \d+ \| 1 failed/)
    expect(shown.endsWith('\u001b[1G\u001b[0J')).toBe(true)
    expect(summary).not.toContain('\u001b')
    // eslint-disable-next-line no-control-regex
    const rows = shown.split(/\u001b\[\d*[A-Za-z]|\n/).filter(row => !row.startsWith('failed: '))
    expect(rows.filter(row => row.length >= 70)).toEqual([])

    const again = await runCli([...args, '--resume', '--no-progress'], { env: { ...env, ...terminal(70) } })
    expect(again.stderr).toMatch(/^1 token minted, 49 already in the output file, 0 failed, .*\n$/)
  })

  it('waits until the gateway recovers', async () => {
    const { gateway, afterRequests, args, env, lines } = await setUp(users(100))
    gateway.fail({ status: 503 })
    const { result } = startCli(args, env)
    await afterRequests(12)
    gateway.recover()
    expect(await result).toMatchObject({ code: 0 })
    expect(await lines()).toHaveLength(100)
    expect(gateway.mints).toBe(100)
  })

  it('stops if the gateway refuses the secret, which affects every identity', async () => {
    const { gateway, args, env } = await setUp(users(1000))
    gateway.fail({ status: 401 })
    const { code, stderr } = await runCli(args, { env })
    expect(code).toBe(4)
    expect(stderr).toContain('this error affects every identity')
    // All of the first window can be sent before the first response arrives, and a busy machine is slow to read it.
    expect(gateway.requests.length).toBeLessThan(200)
  })
})

describe('vkit token --out', () => {
  itWith(posix, 'creates a file that only its owner can read', async () => {
    const { args, out, env } = await setUp(users(1))
    await runCli(args, { env })
    expect((await stat(out)).mode & 0o777).toBe(0o600)
  })

  it('does not change an existing file', async () => {
    const { gateway, args, out, env } = await setUp(users(1))
    await writeFile(out, 'precious')
    const { code, stderr } = await runCli(args, { env })
    expect(code).toBe(2)
    expect(stderr).toContain('--resume')
    expect(await readFile(out, 'utf8')).toBe('precious')
    expect(gateway.requests).toHaveLength(0)
  })

  itWith(posix, 'does not resume from anything except a regular file', async () => {
    const { gateway, from, env } = await setUp(users(3))
    const { code } = await runCli(['token', '--from', from, '--out', '/dev/null', '--resume'], { env })
    expect(code).toBe(6)
    expect(gateway.requests).toHaveLength(0)
  })

  it('accepts identities from the command line too', async () => {
    const { out, env, lines } = await setUp('')
    expect((await runCli(['token', 'a', 'b', 'a', '--out', out], { env })).code).toBe(0)
    expect((await lines()).map(line => line.identity).sort()).toEqual(['a', 'b'])
  })
})

describe('vkit token --resume', () => {
  const N = 900

  /** As on Windows: a file that is open for appending cannot be truncated. */
  const TRUNCATE_OF_WINDOWS = `
    import fs from 'node:fs'
    import module from 'node:module'
    const { openSync, ftruncateSync } = fs
    const appending = new Set()
    fs.openSync = (path, flags, mode) => {
      const fd = openSync(path, flags, mode)
      const appends = typeof flags === 'string' ? flags.startsWith('a') : flags & fs.constants.O_APPEND
      appending[appends ? 'add' : 'delete'](fd)
      return fd
    }
    fs.ftruncateSync = (fd, length) => {
      if (appending.has(fd)) throw Object.assign(new Error('EPERM'), { code: 'EPERM' })
      ftruncateSync(fd, length)
    }
    module.syncBuiltinESMExports()`

  async function resume({ args, env }: Setup): Promise<{ code: number | null; stderr: string }> {
    return runCli([...args, '--resume'], { env })
  }

  function expectAll(lines: readonly TokenLine[], n: number): void {
    expect(lines).toHaveLength(n)
    expect(new Set(lines.map(line => line.identity)).size).toBe(n)
    expect(new Set(lines.map(line => line.sessionToken)).size).toBe(n)
  }

  it('after kill -9 loses nothing, and mints again only what was in flight', async () => {
    const setup = await setUp(users(N))
    const { child, result } = startCli([...setup.args, '--concurrency', '16'], setup.env)
    await setup.afterRequests(N / 2)
    child.kill('SIGKILL')
    await result
    const before = await readFile(setup.out, 'utf8')
    expect(parse(before.slice(0, before.lastIndexOf('\n') + 1)).length).toBeGreaterThan(0)

    expect(await resume(setup)).toMatchObject({ code: 0 })
    expectAll(await setup.lines(), N)
    expect(setup.gateway.mints).toBeLessThanOrEqual(N + 16)
    expect(setup.gateway.mints).toBeGreaterThanOrEqual(N)
    expect((await readFile(setup.out, 'utf8')).startsWith(before.slice(0, before.lastIndexOf('\n') + 1))).toBe(true)
  })

  async function interrupt(run: CliRun, { afterRequests }: Setup): Promise<void> {
    await afterRequests(N / 3)
    run.child.kill('SIGINT')
    expect((await run.result).code).toBe(130)
  }

  itWith(posix, 'after Ctrl-C mints only what is missing, because every minted token was written', async () => {
    const setup = await setUp(users(N))
    const run = startCli([...setup.args, '--concurrency', '16'], setup.env)
    await interrupt(run, setup)
    expect(run.stderr()).toContain('--resume')
    expect(await setup.lines()).toHaveLength(setup.gateway.mints)
    expect(await resume(setup)).toMatchObject({ code: 0 })
    expectAll(await setup.lines(), N)
    expect(setup.gateway.mints).toBe(N)
  })

  itWith(posix, 'ends on Ctrl-C if the list comes from a pipe that stays open', async () => {
    const { gateway, afterRequests } = await startCountedGateway()
    const run = startCli(['token', '--from', '-'], envFor(gateway))
    run.child.stdin?.write(users(5))
    await afterRequests(5)
    run.child.kill('SIGINT')
    expect((await run.result).code).toBe(130)
    expect(parse((await run.result).stdout)).toHaveLength(5)
  })

  describeWith(posix, 'a named pipe', () => {
    async function makePipe(): Promise<string> {
      const pipe = path.join(await makeFolder(), 'users')
      execFileSync('mkfifo', [pipe])
      return pipe
    }

    /** Starts a run whose list stays open, and interrupts it after five tokens. */
    async function interruptAfterFive(name: NodeJS.Platform): Promise<CliRun> {
      const { gateway, afterRequests } = await startCountedGateway()
      const pipe = await makePipe()
      const run = startCli(['token', '--from', pipe], { ...envFor(gateway), ...preload(platform(name)) })
      const writer = await open(pipe, 'w') // Waits for a reader.
      afterThisTest(() => writer.close())
      await writer.write(users(5))
      await afterRequests(5)
      run.child.kill('SIGINT')
      return run
    }

    it.each<NodeJS.Platform>(['linux', 'darwin'])('that stays open ends on Ctrl-C (%s)', async name => {
      const { code, stdout } = await (await interruptAfterFive(name)).result
      expect(code).toBe(130)
      expect(parse(stdout)).toHaveLength(5)
    })

    it.each<NodeJS.Platform>(['linux', 'darwin'])('without a writer ends on Ctrl-C (%s)', async name => {
      const pipe = await makePipe()
      const interruptWhenOpen = `
        import fs from 'node:fs'
        import module from 'node:module'
        const { openSync } = fs
        fs.openSync = (path, ...args) => {
          if (path === '${pipe}') setImmediate(() => process.kill(process.pid, 'SIGINT'))
          return openSync(path, ...args)
        }
        module.syncBuiltinESMExports()`
      const env = { ...envFor(await startGateway()), ...preload(platform(name), interruptWhenOpen) }
      expect((await runCli(['token', '--from', pipe], { env })).code).toBe(130)
    })

    it.each<NodeJS.Platform>(['linux', 'darwin'])('is read to its end (%s)', async name => {
      const { gateway } = await startCountedGateway()
      const pipe = await makePipe()
      const run = startCli(['token', '--from', pipe], { ...envFor(gateway), ...preload(platform(name)) })
      await writeFile(pipe, users(500))
      expect(await run.result).toMatchObject({ code: 0 })
      expect(gateway.mints).toBe(500)
    })

    it('that no writer has opened yet has not ended (darwin)', async () => {
      const { gateway } = await startCountedGateway()
      const pipe = await makePipe()
      const reportEmptyRead = `
        import fs from 'node:fs'
        import module from 'node:module'
        const { read } = fs
        const reportingRead = (fd, options, done) =>
          read(fd, options, (error, bytesRead, buffer) => {
            if (bytesRead === 0) process.stderr.write('empty read')
            done(error, bytesRead, buffer)
          })
        fs.read = Object.defineProperties(reportingRead, Object.getOwnPropertyDescriptors(read))
        module.syncBuiltinESMExports()`
      const env = { ...envFor(gateway), ...preload(platform('darwin'), reportEmptyRead) }
      const run = startCli(['token', '--from', pipe], env)
      while (!run.stderr().includes('empty read')) await once(run.child.stderr ?? run.child, 'data')
      const writer = await open(pipe, 'r+') // Does not wait for a reader.
      await writer.write(users(5))
      await writer.close()
      expect(await run.result).toMatchObject({ code: 0 })
      expect(gateway.mints).toBe(5)
    })

    it('that blocks a thread does not keep the process after Ctrl-C', async () => {
      const run = await interruptAfterFive('win32') // Opens the pipe like a file.
      expect(await once(run.child, 'exit')).toEqual([null, 'SIGINT'])
    })

    it('that blocks a DNS lookup does not keep the process after Ctrl-C', async () => {
      // The only thread waits for a writer of the pipe, on behalf of a worker, so the lookup never ends.
      const open = "require('fs').open(require('worker_threads').workerData, () => 0)"
      const blockLookup = `
        import dns from 'node:dns'
        import { Worker } from 'node:worker_threads'
        const { lookup } = dns
        dns.lookup = (...args) => {
          const source = "${open}; require('worker_threads').parentPort.postMessage('')"
          new Worker(source, { eval: true, workerData: '${await makePipe()}' }).once('message', () => {
            lookup(...args)
            process.stderr.write('lookup started')
          })
        }`
      const env = { VKIT_APP_SECRET: 'secret', VKIT_BASE_URL: 'http://localhost:1', UV_THREADPOOL_SIZE: '1' }
      const run = startCli(['token', 'user'], { ...env, ...preload(blockLookup) })
      while (!run.stderr().includes('lookup started')) await once(run.child.stderr ?? run.child, 'data')
      run.child.kill('SIGINT')
      expect(await once(run.child, 'exit')).toEqual([null, 'SIGINT'])
    })

    it('that is always readable is read no further after Ctrl-C', async () => {
      const gateway = await startGateway()
      const pipe = await makePipe()
      const line = `${Buffer.from('{"alg":"HS256"}').toString('base64url')}.${'x'.repeat(75)}.x\n`
      const write = `require('node:fs').writeFileSync(process.argv[1], process.argv[2].repeat(80_000))`
      const writer = spawn(process.execPath, ['-e', write, pipe, line])
      const ended = once(writer, 'exit')
      const interruptAtLine2000 = `
        const { write } = process.stderr
        let lines = 0
        process.stderr.write = function (...args) {
          if (++lines === 2000) process.kill(process.pid, 'SIGINT')
          return write.apply(this, args)
        }`
      const env = { ...envFor(gateway), ...preload(interruptAtLine2000) }
      const { code, stderr } = await startCli(['token', '--from', pipe], env).result
      await ended
      expect(code).toBe(130)
      // The rest of this chunk, and the chunk that was read meanwhile.
      expect(stderr.split('failed:').length).toBeLessThan(2_000 + (3 * 65_536) / line.length)
    })
  })

  describeWith(posix, 'an endless list', () => {
    const BLOCK_BYTES = 10_000
    /** More than the pipe can buffer, so the command has started to read. */
    const READ_BYTES = 50 * BLOCK_BYTES

    it.each([
      ['empty lines', '\r\n'],
      ['one identity', `${'a'.repeat(99)}\n`],
      ['lines that are not UTF-8', `${'\xff'.repeat(99)}\n`],
      ['NUL characters without a line feed', '\0'],
    ])('of %s ends on Ctrl-C', async (_, text) => {
      const gateway = await startGateway()
      const run = startCli(['token', '--from', '-'], envFor(gateway))
      const { stdin } = run.child
      const block = Buffer.alloc(BLOCK_BYTES, text, 'latin1')
      let written = 0
      const write = (): void => {
        if (written === READ_BYTES) run.child.kill('SIGINT')
        written += BLOCK_BYTES
        stdin?.write(block, error => error ?? write())
      }
      stdin?.on('error', () => undefined)
      write()
      expect((await run.result).code).toBe(130)
    })
  })

  it('ends on Ctrl-Break of Windows as on Ctrl-C', async () => {
    const setup = await setUp(users(N))
    const breakAtFirstRequest = `
      import channel from 'node:diagnostics_channel'
      const onRequest = () => {
        channel.unsubscribe('http.client.request.start', onRequest)
        process.emit('SIGBREAK')
      }
      channel.subscribe('http.client.request.start', onRequest)`
    const { code, stderr } = await runCli(setup.args, { env: { ...setup.env, ...preload(breakAtFirstRequest) } })
    expect(code).toBe(130)
    expect(stderr).toContain('--resume')
    expect(setup.gateway.mints).toBeLessThan(N)
    expect(await setup.lines()).toHaveLength(setup.gateway.mints)
  })

  itWith(posix, 'starts no further identity from the command line after Ctrl-C', async () => {
    const { gateway, afterRequests } = await startCountedGateway()
    gateway.fail({ delayMs: 300 })
    const run = startCli(['token', '--concurrency', '1', ...users(50).trim().split('\n')], envFor(gateway))
    await afterRequests(1)
    run.child.kill('SIGINT')
    expect((await run.result).code).toBe(130)
    expect(gateway.requests.length).toBeLessThan(4)
  })

  it.each([
    ['half of it is missing', (line: string) => line.slice(0, -40)],
    ['its closing brace is missing', (line: string) => line.slice(0, -2)],
    ['it has only one byte', () => '{'],
  ])('removes an incomplete last line: %s', async (_, cut) => {
    const setup = await setUp(users(10))
    await runCli(setup.args, { env: setup.env })
    const lines = (await readFile(setup.out, 'utf8')).split(/(?<=\n)/)
    await writeFile(setup.out, [...lines.slice(0, 5), cut(lines[5] ?? '')].join(''))
    const env = { ...setup.env, ...preload(platform('win32'), TRUNCATE_OF_WINDOWS) }
    expect(await resume({ ...setup, env })).toMatchObject({ code: 0 })
    expectAll(await setup.lines(), 10)
    expect(setup.gateway.mints).toBe(15)
  })

  it('keeps a last line that lacks only its line feed', async () => {
    const setup = await setUp(users(10))
    await runCli(setup.args, { env: setup.env })
    const lines = (await readFile(setup.out, 'utf8')).split(/(?<=\n)/)
    await writeFile(setup.out, lines.slice(0, 5).join('').trimEnd())
    expect(await resume(setup)).toMatchObject({ code: 0 })
    expectAll(await setup.lines(), 10)
    expect(setup.gateway.mints).toBe(15)
  })

  it('resumes from an empty file', async () => {
    const setup = await setUp(users(3))
    await writeFile(setup.out, '', { mode: 0o600 })
    expect(await resume(setup)).toMatchObject({ code: 0 })
    expectAll(await setup.lines(), 3)
  })

  it('exits with 6 if the file accepts no more bytes', async () => {
    const { args, env } = await setUp(users(3))
    const source =
      "import fs from 'node:fs'; import module from 'node:module'; fs.writeSync = () => 0; module.syncBuiltinESMExports()"
    const { code, stderr } = await runCli(args, { env: { ...env, ...preload(source) } })
    expect(code).toBe(6)
    expect(stderr).toContain('Cannot write the output file')
  })

  it('starts a new file if there is none, and mints nothing if the file is complete', async () => {
    const setup = await setUp(users(10))
    expect(await resume(setup)).toMatchObject({ code: 0 })
    expect(await resume(setup)).toMatchObject({ code: 0 })
    expect(setup.gateway.mints).toBe(10)
  })

  it('retries the identities that failed', async () => {
    const setup = await setUp(users(10))
    setup.gateway.failNext({ status: 403 })
    expect((await runCli(setup.args, { env: setup.env })).code).toBe(1)
    expect(await setup.lines()).toHaveLength(9)
    expect(await resume(setup)).toMatchObject({ code: 0 })
    expectAll(await setup.lines(), 10)
  })

  it.each([
    ['plain lines', users(5)],
    ['one line without a line feed', 'user-0'],
    ['other JSON', '{"identity":"user-0","email":"anna@example.com"}'],
    ['JSON with spaces', '{ "identity": "user-0", "sess'],
  ])('does not change a file that contains %s instead of tokens', async (_, text) => {
    const setup = await setUp(users(10))
    await writeFile(setup.out, text)
    const { code, stderr } = await resume(setup)
    expect(code).toBe(6)
    expect(stderr).toContain('Line 1')
    expect(await readFile(setup.out, 'utf8')).toBe(text)
    expect(setup.gateway.requests).toHaveLength(0)
  })

  it('does not write to the file of the list or of the secret', async () => {
    const { from, env, gateway } = await setUp('user-0')
    for (const args of [
      ['--from', from],
      ['user-1', '--secret-file', from],
    ]) {
      const { code, stderr } = await runCli(['token', ...args, '--out', from, '--resume'], { env })
      expect([code, await readFile(from, 'utf8')]).toEqual([2, 'user-0'])
      expect(stderr).toContain('the same file')
    }
    expect(gateway.requests).toHaveLength(0)
  })

  it('does not add tokens with other scopes', async () => {
    const setup = await setUp(users(3))
    await runCli(setup.args, { env: setup.env })
    const { code, stderr } = await runCli([...setup.args, '--resume', '--scope', 'videos.read'], { env: setup.env })
    expect(code).toBe(2)
    expect(stderr).toContain('--scope')
  })

  it('reports how many tokens have expired', async () => {
    const setup = await setUp(users(3))
    const token = { identity: 'user-0', sessionToken: 'old', expiresAt: '2020-01-01T00:00:00Z', scopes: [] }
    await writeFile(setup.out, `${JSON.stringify(token)}\n`, { mode: 0o600 })
    expect((await resume(setup)).stderr).toContain('1 token in the output file already expired')
  })
})
