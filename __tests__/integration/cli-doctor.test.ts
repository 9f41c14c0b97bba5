import { describe, expect, it } from '@jest/globals'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { GatewayEmulator } from '../../lib/testing/index.js'
import { makeCertificate } from '../support/certificates.js'
import { envFor, makeFolder, runCli, useCli } from '../support/cli.js'
import { freePort } from '../support/free-port.js'
import { startGateway } from '../support/gateway.js'

useCli()

interface Finding {
  readonly check: string
  readonly severity: string
  readonly found: string
  readonly advice?: string
}

async function diagnose(
  env: Record<string, string>,
  args: string[] = [],
): Promise<{ code: number | null; of: (check: string) => Finding | undefined; text: string }> {
  const { code, stdout, stderr } = await runCli(['doctor', '--json', ...args], { env })
  const findings = JSON.parse(stdout) as Finding[]
  return { code, of: check => findings.find(finding => finding.check === check), text: stdout + stderr }
}

/** Characters that no output may contain: control characters except line feeds, and those that reorder text. */
const UNSAFE = /(?!\n)[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u

function expectNoSecret(text: string, gateway: GatewayEmulator): void {
  for (const part of gateway.appSecret.split('.')) expect(text).not.toContain(part)
}

describe('vkit doctor', () => {
  it('reports no problem if there is none', async () => {
    const gateway = await startGateway()
    const { code, stdout, stderr } = await runCli(['doctor'], { env: envFor(gateway) })
    expect([code, stderr]).toEqual([0, ''])
    for (const check of ['node', 'proxy', 'exposure', 'secret', 'settings', 'dns', 'gateway', 'clock', 'mint']) {
      expect(stdout).toMatch(new RegExp(`^✓ ${check} `, 'm'))
    }
    expectNoSecret(stdout, gateway)
    expect(gateway.mints).toBe(1)
  })

  it('mints for the user of --identity, and not at all with --no-mint', async () => {
    const gateway = await startGateway()
    await diagnose(envFor(gateway), ['--identity', 'another-user'])
    expect(gateway.requests.at(-1)?.body).toMatchObject({ identity: 'another-user' })
    const { code, of } = await diagnose(envFor(gateway), ['--no-mint'])
    expect([code, of('mint')?.severity]).toEqual([0, 'note'])
    expect(gateway.mints).toBe(1)
  })

  it('sends the secret only with the one mint', async () => {
    const gateway = await startGateway()
    await diagnose(envFor(gateway))
    expect(gateway.requests.filter(({ headers }) => headers['authorization'])).toHaveLength(1)
  })

  it.each<[string, Record<string, string>, string, number, string]>([
    ['no secret', { VKIT_APP_SECRET: '' }, 'secret', 1, 'failure'],
    ['a secret with a space', { VKIT_APP_SECRET: 'a b' }, 'secret', 1, 'failure'],
    ['a proxy variable', { HTTPS_PROXY: 'http://user:pa55word@proxy:3128' }, 'proxy', 7, 'warning'],
    ['NODE_DEBUG', { NODE_DEBUG: 'fs,HTTP' }, 'exposure', 1, 'failure'],
    ['NODE_TLS_REJECT_UNAUTHORIZED', { NODE_TLS_REJECT_UNAUTHORIZED: '0' }, 'exposure', 7, 'warning'],
    ['report files', { NODE_OPTIONS: '--report-uncaught-exception' }, 'exposure', 7, 'warning'],
    ['plain http', { VKIT_BASE_URL: 'http://emulator', VKIT_APP_SECRET: 'of-the-real-one' }, 'settings', 1, 'failure'],
    [
      'plain http without a secret',
      { VKIT_BASE_URL: 'http://emulator', VKIT_APP_SECRET: '' },
      'settings',
      1,
      'failure',
    ],
  ])('reports %s', async (_, extra, check, expected, severity) => {
    const gateway = await startGateway()
    const { code, of, text } = await diagnose({ ...envFor(gateway), ...extra })
    expect([code, of(check)?.severity]).toEqual([expected, severity])
    expect(of(check)?.advice).toBeTruthy()
    expect(text).not.toContain('pa55word')
    expectNoSecret(text, gateway)
  })

  it('reports a session token that is used as the secret', async () => {
    const gateway = await startGateway()
    const { stdout } = await runCli(['token', 'user'], { env: envFor(gateway) })
    const { code, of, text } = await diagnose({ ...envFor(gateway), VKIT_APP_SECRET: stdout.trim() })
    expect([code, of('secret')?.severity, of('mint')?.severity]).toEqual([1, 'failure', 'note'])
    expect(text).not.toContain(stdout.trim())
  })

  it.each([1e300, -1e300, 'x'])('accepts a secret with an issue time of %p', async iat => {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const secret = `${part({ alg: 'HS256' })}.${part({ role: 'app', iat })}.c2ln`
    const { of } = await diagnose({ VKIT_APP_SECRET: secret }, ['--no-mint', '--base-url', 'http://127.0.0.1:1'])
    expect(of('secret')).toMatchObject({ severity: 'ok', found: 'app secret from VKIT_APP_SECRET' })
  })

  it('reports a host name that cannot be resolved', async () => {
    const gateway = await startGateway()
    const { code, of } = await diagnose({ ...envFor(gateway), VKIT_BASE_URL: 'https://gateway.invalid' })
    expect([code, of('dns')?.severity, of('mint')?.severity]).toEqual([1, 'failure', 'note'])
  })

  it('reports that no server responds', async () => {
    const gateway = await startGateway()
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const { code, of } = await diagnose({ ...envFor(gateway), VKIT_BASE_URL: url })
    expect([code, of('gateway')?.found]).toEqual([1, `${url} does not respond (ECONNREFUSED)`])
    const advice = `Nothing listens on port ${port}. Is the emulator running? npx vkit emulator --port ${port}`
    expect(of('gateway')?.advice).toBe(advice)
    const secure = await diagnose({ ...envFor(gateway), VKIT_BASE_URL: `https://localhost:${port}` })
    expect(secure.of('tls')?.advice).toBe(advice)
  })

  it('reports a server without TLS', async () => {
    const gateway = await startGateway()
    const { code, of } = await diagnose({ ...envFor(gateway), VKIT_BASE_URL: gateway.url.replace('http:', 'https:') })
    expect([code, of('tls')?.severity]).toEqual([1, 'failure'])
  })

  it.each([
    ['127.0.0.1', 0, /^TLSv1\.3, certificate by /],
    ['gateway.example', 1, /^no secure connection to 127\.0\.0\.1 \(ERR_TLS_CERT_ALTNAME_INVALID\)$/],
  ])('checks the certificate of an IP address: one for %s', async (host, expected, found) => {
    const tls = makeCertificate({ hosts: [host], notAfter: new Date(Date.now() + 90 * 86_400_000) })
    const trusted = path.join(await makeFolder(), 'trusted.pem')
    await writeFile(trusted, tls.cert)
    const gateway = await startGateway({ tls })
    const env = { ...envFor(gateway), NODE_EXTRA_CA_CERTS: trusted }
    const { code, stdout, stderr } = await runCli(['doctor', '--json', '--no-mint'], { env })
    const { found: text } = (JSON.parse(stdout) as Finding[]).find(({ check }) => check === 'tls') ?? {}
    expect({ code, stderr, text }).toEqual({
      code: expected,
      stderr: '',
      text: expect.stringMatching(found) as unknown,
    })
  })

  it.each([
    [600_000, 1, 'behind'],
    [-600_000, 1, 'ahead of'],
    [60_000, 7, 'behind'],
  ])('reports a clock that is off by %i ms', async (skewMs, expected, word) => {
    const gateway = await startGateway({ clock: { now: () => Date.now() + skewMs } })
    const { code, of } = await diagnose(envFor(gateway), ['--no-mint'])
    expect(code).toBe(expected)
    expect(of('clock')?.found).toContain(word)
  })

  it('reports why the mint failed', async () => {
    const gateway = await startGateway()
    gateway.appSecret = 'rotated'
    const { code, of } = await diagnose({ VKIT_BASE_URL: gateway.url, VKIT_APP_SECRET: 'of-yesterday' })
    expect(code).toBe(1)
    expect(of('mint')?.found).toContain('VKIT_UNAUTHENTICATED')
    expect(of('mint')?.advice).toContain('dashboard')
  })
})

describe('vkit doctor --store', () => {
  async function tryStore(source: string, env?: Record<string, string>): Promise<Finding | undefined> {
    return (await tryAll(source, env)).of('store')
  }

  async function tryAll(source: string, env: Record<string, string> = {}) {
    const gateway = await startGateway()
    const file = path.join(await makeFolder(), 'store.mjs')
    await writeFile(file, source)
    return diagnose({ ...envFor(gateway), ...env }, ['--no-mint', '--store', file])
  }

  it('writes a value to the store and reads it back', async () => {
    const map =
      'const m = new Map(); export default { get: k => m.get(k), set: (k, v) => m.set(k, v), delete: k => m.delete(k) }'
    expect(await tryStore(map)).toMatchObject({ severity: 'ok' })
    expect(await tryStore(map.replace('default {', 'default async () => ({').replace(/}$/, '})'))).toMatchObject({
      severity: 'ok',
    })
  })

  it('reports a store that forgets or fails, without the text of its error', async () => {
    const forgetful = 'export default { get: () => undefined, set: () => true, delete: () => true }'
    expect(await tryStore(forgetful)).toMatchObject({
      severity: 'failure',
      found: 'the value read is not the value written',
    })
    const failing = `export default { get() {}, delete() {}, set: () => Promise.reject(Object.assign(new Error('redis://:pa55word@x'), { code: 'ECONNREFUSED' })) }`
    expect(await tryStore(failing)).toMatchObject({ severity: 'failure', found: 'failed (Error, ECONNREFUSED)' })
    expect(await tryStore('throw new Error("no")')).toMatchObject({ severity: 'failure' })
  })

  it('escapes terminal control characters in the name of an error', async () => {
    const gateway = await startGateway()
    const file = path.join(await makeFolder(), 'store.mjs')
    const name = 'Driver\u001b[2J\u009b1m\u202eError\n✓ store      fine'
    await writeFile(file, `throw Object.assign(new Error('no'), { name: ${JSON.stringify(name)} })`)
    const args = ['doctor', '--no-mint', '--store', file]
    const { stdout } = await runCli(args, { env: envFor(gateway) })
    expect(stdout).toContain('failed (Driver\\u001b[2J\\u009b1m\\u202eError\\u000a✓ store      fine)\n')
    const json = (await runCli([...args, '--json'], { env: envFor(gateway) })).stdout
    expect(json).not.toMatch(UNSAFE)
    expect((JSON.parse(json) as Finding[]).at(-1)?.found).toBe(`failed (${name})`)
  })

  const map =
    'const m = new Map(); const store = { get: k => m.get(k), set: (k, v) => m.set(k, v), delete: k => m.delete(k) };'

  it('ends even if the store keeps the process alive', async () => {
    const source = `${map} setInterval(() => 0, 1000); export default store`
    expect(await tryStore(source)).toMatchObject({ severity: 'ok' })
  })

  it('ignores an error from disconnect', async () => {
    const source = `${map} export default { ...store, disconnect() { throw new Error('no') } }`
    expect(await tryStore(source)).toMatchObject({ severity: 'ok' })
  })

  const tenTimesAsFast = 'const { setTimeout: real } = globalThis; globalThis.setTimeout = (f, ms) => real(f, ms / 10)'
  const fast = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(tenTimesAsFast)}` }

  it('waits only for a limited time until a store is created', async () => {
    const source = 'export default () => new Promise(() => setInterval(() => 0, 1000))'
    expect(await tryStore(source, fast)).toMatchObject({ severity: 'failure', found: 'failed (TimeoutError)' })
  })

  /** A store with all methods, some of which are replaced. */
  const full = (replaced: string): string => `
    ${map}
    const held = new Map(), listeners = new Map()
    const all = {
      ...store,
      acquireLease: (k, by) => held.get(k) === by || (!held.has(k) && Boolean(held.set(k, by))),
      releaseLease: (k, by) => held.get(k) === by && held.delete(k),
      publish: (c, text) => listeners.get(c)?.onMessage(text),
      subscribe: async (c, listener) => (listeners.set(c, listener), { close: () => listeners.delete(c) }),
    }
    export default { ...all, ${replaced} }`

  it('does not test leases and messages that the store does not have', async () => {
    const { of } = await tryAll(`${map} export default store`)
    expect([of('store')?.severity, of('leases'), of('messages')]).toEqual(['ok', undefined, undefined])
  })

  it('takes a lease, and receives its own message', async () => {
    const { code, of } = await tryAll(full(''))
    expect(code).toBe(0)
    expect([of('leases'), of('messages')]).toMatchObject([
      { severity: 'ok', found: 'takes, extends and frees a lease' },
      { severity: 'ok', found: 'a message arrives' },
    ])
  })

  it.each([
    ['acquireLease: () => false', 'a free lease cannot be taken'],
    ['acquireLease: () => true', 'two holders can take the same lease'],
    ['acquireLease: k => !held.has(k) && Boolean(held.set(k, 1))', 'the holder of a lease cannot extend it'],
    ['releaseLease: () => true', 'a lease cannot be freed'],
    ['acquireLease: async () => { throw new TypeError("redis://:pa55word@x") }', 'failed (TypeError)'],
  ])('reports leases with %s', async (replaced, found) => {
    const { code, of } = await tryAll(full(replaced))
    expect(code).toBe(1)
    expect([of('leases'), of('messages')]).toMatchObject([{ severity: 'failure', found }, { severity: 'ok' }])
  })

  it.each([
    ['publish: () => 0', 'a message does not arrive'],
    ['publish: c => listeners.get(c).onMessage("other")', 'a message arrives altered'],
    ['subscribe: async () => { throw new TypeError("redis://:pa55word@x") }', 'failed (TypeError)'],
    ['subscribe: () => new Promise(() => setInterval(() => 0, 1000))', 'failed (TimeoutError)'],
  ])('reports messages with %s', async (replaced, found) => {
    const { code, of } = await tryAll(full(replaced), fast)
    expect(code).toBe(1)
    expect([of('leases'), of('messages')]).toMatchObject([{ severity: 'ok' }, { severity: 'failure', found }])
  })
})
