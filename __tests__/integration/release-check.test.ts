import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterThisTest } from '../support/gateway.js'

jest.setTimeout(60_000) // npm starts slowly on a busy machine.

/** One bundled package, in the version that the lockfile pins. */
const BUNDLED = { name: 'lru-cache', version: '11.5.3' }
const ADVISORY = {
  id: 1,
  url: 'https://example.com/1',
  title: 'a hole',
  severity: 'high',
  vulnerable_versions: '<=11.5.3',
}

let folder: string
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'release-check-'))
  writeFileSync(path.join(folder, 'list.json'), JSON.stringify({ components: [BUNDLED] }))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Runs the check against a registry with this newest version and these advisories. */
async function check(latest: string, advisories: object | undefined): Promise<{ code: number; output: string }> {
  const registry = http.createServer((request, response) => {
    request.resume()
    if (request.method === 'POST') response.writeHead(advisories ? 200 : 405).end(JSON.stringify(advisories ?? {}))
    else response.end(JSON.stringify(packument(request.url ?? '', latest)))
  })
  await new Promise<void>(done => registry.listen(0, '127.0.0.1', done))
  afterThisTest(async () => void registry.close())
  const env = {
    ...process.env,
    npm_config_registry: `http://127.0.0.1:${(registry.address() as AddressInfo).port}/`,
    npm_config_cache: path.join(folder, 'cache'),
    npm_config_audit: 'true',
  }
  const args = ['scripts/release-check.mjs', '--list', path.join(folder, 'list.json')]
  return new Promise(done => {
    execFile(process.execPath, args, { env }, (error, output) => done({ code: Number(error?.code ?? 0), output }))
  })
}

function packument(url: string, latest: string): object {
  const name = decodeURIComponent(url.slice(1))
  const versions = { [latest]: { name, version: latest }, [BUNDLED.version]: { name, version: BUNDLED.version } }
  return { name, 'dist-tags': { latest }, versions }
}

describe('the check of the bundled packages before a release', () => {
  it('passes without advisories, and reports a newer version', async () => {
    const { code, output } = await check('12.0.0', {})
    expect(output).toMatch(/^newer: lru-cache 11\.5\.3 -> 12\.0\.0$/m)
    expect(output).toMatch(/^Advisories against bundled packages: 0$/m)
    expect(code).toBe(0)
  })

  it('fails if an advisory affects the bundled version', async () => {
    const { code, output } = await check('11.5.3', { 'lru-cache': [ADVISORY] })
    expect(output).toMatch(/^ADVISORY: lru-cache: a hole https:\/\/example\.com\/1$/m)
    expect(output).not.toContain('newer')
    expect(code).toBe(1)
  })

  it('passes if an advisory affects only other packages or versions', async () => {
    const older = { ...ADVISORY, vulnerable_versions: '<11' }
    const { code, output } = await check('11.5.3', {
      'lru-cache': [older],
      jest: [{ ...ADVISORY, vulnerable_versions: '*' }],
    })
    expect(output).toMatch(/^Advisories against bundled packages: 0$/m)
    expect(code).toBe(0)
  })

  it('says that advisories could not be checked if the registry has none', async () => {
    const { code, output } = await check('11.5.3', undefined)
    expect(output).toMatch(/^NOT CHECKED: advisories \(405 /m)
    expect(code).toBe(0)
  })
})
