import { beforeEach, describe, expect, it, jest } from '@jest/globals'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { makeAppSecret } from '../../lib/testing/emulator-jwt.js'
import { afterThisTest } from '../support/gateway.js'

jest.setTimeout(60_000) // npm starts slowly on a busy machine.

const PACKAGE = JSON.parse(readFileSync('package.json', 'utf8')) as Record<string, unknown> & {
  readonly version: string
}
const HOME = 'https://github.com/Video-io/videokit-nodejs'

/** One bundled package, in the version that the lockfile pins. */
const BUNDLED = { name: 'lru-cache', version: '11.5.3', licenses: [{ license: { id: 'BlueOak-1.0.0' } }] }
/** The other packages that no bundle lacks. */
const OTHER_VERSION = '0.0.1'
const OTHERS = ['got', 'jose', 'p-retry'].map(name => ({
  name,
  version: OTHER_VERSION,
  licenses: [{ license: { id: 'MIT' } }],
}))
const OTHER_LICENCES = OTHERS.map(({ name, version }) => `\n${name} ${version} (MIT)\n\nText.\n`).join('')

const ADVISORY = {
  id: 1,
  url: 'https://example.com/1',
  title: 'a hole',
  severity: 'high',
  vulnerable_versions: '<=11.5.3',
}

const CHANGELOG = `# Changelog

## [${PACKAGE.version}] - 2020-01-02

- An entry.

[${PACKAGE.version}]: ${HOME}/releases/tag/v${PACKAGE.version}
`

/** An unpacked package that passes. */
let root: string
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'release-check-'))
  afterThisTest(async () => rmSync(root, { recursive: true, force: true }))
  mkdirSync(path.join(root, 'dist'))
  put('package.json', JSON.stringify(PACKAGE))
  put('CHANGELOG.md', CHANGELOG)
  put('README.md', `[Changelog](CHANGELOG.md), [rooms](${HOME}/blob/main/docs/architecture.md#rooms)\n`)
  put('SECURITY.md', '# Security\n')
  put('dist/sbom.cdx.json', JSON.stringify({ components: [BUNDLED, ...OTHERS] }))
  put('dist/THIRD-PARTY-LICENSES.txt', `\nlru-cache 11.5.3 (BlueOak-1.0.0)\n\nText.\n${OTHER_LICENCES}`)
})

function put(file: string, text: string): void {
  writeFileSync(path.join(root, file), text)
}

interface Outcome {
  readonly code: number
  readonly output: string
}

/** Runs the checks whose name contains `only`. */
function check(
  only: string,
  { args = [], env = {} }: { args?: string[]; env?: NodeJS.ProcessEnv } = {},
): Promise<Outcome> {
  const all = ['scripts/release/check.mjs', '--package', root, '--only', only, ...args]
  return new Promise(done => {
    execFile(process.execPath, all, { env: { ...process.env, ...env } }, (error, output) =>
      done({ code: Number(error?.code ?? 0), output }),
    )
  })
}

/** Runs the checks against a registry with this newest version and these advisories. */
async function checkWithRegistry(
  latest: string,
  advisories: object | undefined,
  args: string[] = [],
): Promise<Outcome> {
  const registry = http.createServer((request, response) => {
    request.resume()
    if (request.method === 'POST') response.writeHead(advisories ? 200 : 405).end(JSON.stringify(advisories ?? {}))
    else response.end(JSON.stringify(packument(request.url ?? '', latest)))
  })
  await new Promise<void>(done => registry.listen(0, '127.0.0.1', done))
  afterThisTest(async () => void registry.close())
  const env = {
    npm_config_registry: `http://127.0.0.1:${(registry.address() as AddressInfo).port}/`,
    npm_config_cache: path.join(root, 'cache'),
    npm_config_audit: 'true',
  }
  return check('bundled packages', { args, env })
}

function packument(url: string, latestOfBundled: string): object {
  const name = decodeURIComponent(url.slice(1))
  const latest = name === BUNDLED.name ? latestOfBundled : OTHER_VERSION
  return { name, 'dist-tags': { latest }, versions: { [latest]: { name, version: latest } } }
}

describe('the check of the bundled packages before a release', () => {
  it('passes without advisories, and reports a newer version', async () => {
    const { code, output } = await checkWithRegistry('12.0.0', {})
    expect(output).toMatch(/^ok +newer versions of the bundled packages .* lru-cache 11\.5\.3 -> 12\.0\.0$/m)
    expect(output).toMatch(/^ok +advisories against the bundled packages .* none$/m)
    expect(code).toBe(0)
  })

  it('fails if an advisory affects the bundled version', async () => {
    const { code, output } = await checkWithRegistry('11.5.3', { 'lru-cache': [ADVISORY] })
    expect(output).toMatch(/^Error: lru-cache: a hole https:\/\/example\.com\/1$/m)
    expect(output).toMatch(/^ok +newer versions of the bundled packages .* none$/m)
    expect(code).toBe(1)
  })

  it('passes if an advisory affects only other packages or versions', async () => {
    const { code, output } = await checkWithRegistry('11.5.3', {
      'lru-cache': [{ ...ADVISORY, vulnerable_versions: '<11' }],
      jest: [{ ...ADVISORY, vulnerable_versions: '*' }],
    })
    expect(output).toMatch(/^ok +advisories against the bundled packages .* none$/m)
    expect(code).toBe(0)
  })

  it('says that advisories could not be checked if the registry has none, and fails with a tag', async () => {
    const { code, output } = await checkWithRegistry('11.5.3', undefined)
    expect(output).toMatch(/^NOT CHECKED advisories against the bundled packages .* 405 /m)
    expect(output).toMatch(/^2 passed, 0 failed, 1 not checked$/m)
    expect(code).toBe(0)
    const args = ['--tag', `v${PACKAGE.version}`]
    expect(await checkWithRegistry('11.5.3', undefined, args)).toMatchObject({ code: 1 })
  })

  it.each([
    [
      'another licence',
      {
        'dist/sbom.cdx.json': JSON.stringify({
          components: [{ ...BUNDLED, licenses: [{ license: { id: 'GPL-3.0' } }] }, ...OTHERS],
        }),
      },
      'lru-cache has the licence GPL-3.0',
    ],
    [
      'no entry in the list',
      { 'dist/sbom.cdx.json': '{"components":[]}' },
      'dist/sbom.cdx.json does not list got, jose, lru-cache, p-retry',
    ],
    ['no text of its licence', { 'dist/THIRD-PARTY-LICENSES.txt': '' }, 'the licence of lru-cache 11.5.3 is missing'],
  ])('fails if a package has %s', async (_, files, message) => {
    for (const [file, text] of Object.entries(files)) put(file, text)
    const { code, output } = await check('licences')
    expect(output).toContain(message)
    expect(code).toBe(1)
  })
})

describe('the check of the package before a release', () => {
  const OFFLINE = ['changelog', 'where the package', 'nothing for npm', 'licences', 'no path', 'links of']

  it.each(OFFLINE)('passes: %s', async only => {
    const { code, output } = await check(only)
    expect(output).toMatch(/^1 passed, 0 failed$/m)
    expect(code).toBe(0)
  })

  const version = PACKAGE.version
  it.each([
    [
      'a version without a date',
      'is not a version with a date',
      { 'CHANGELOG.md': CHANGELOG.replace(' - 2020-01-02', '') },
    ],
    [
      'an older version in the changelog',
      `The changelog ends with 0.0.1, but the version is ${version}.`,
      { 'CHANGELOG.md': CHANGELOG.replaceAll(version, '0.0.1') },
    ],
    [
      'a date in the future',
      `The date of ${version} in the changelog is in the future: 9999-01-02`,
      { 'CHANGELOG.md': CHANGELOG.replace('2020', '9999') },
    ],
    [
      'a section without an entry',
      `The changelog has no entry for ${version}.`,
      { 'CHANGELOG.md': CHANGELOG.replace('- An entry.', '') },
    ],
    [
      'no link to the release',
      `The changelog has no link for ${version}.`,
      { 'CHANGELOG.md': CHANGELOG.replace('releases/tag', 'tree') },
    ],
    [
      'an older version in the lockfile',
      `package-lock.json has the version ${version}.`,
      {
        'CHANGELOG.md': CHANGELOG.replaceAll(version, '9.9.9'),
        'package.json': JSON.stringify({ ...PACKAGE, version: '9.9.9' }),
      },
    ],
    ['no provenance', '"publishConfig":{}', { 'package.json': JSON.stringify({ ...PACKAGE, publishConfig: {} }) }],
    [
      'a path that npm corrects',
      'Run: npm pkg fix',
      { 'package.json': JSON.stringify({ ...PACKAGE, bin: { vkit: './dist/cli/vkit.js' } }) },
    ],
    [
      'a relative link to a file outside the package',
      'README.md:1 docs/guides/caching.md',
      { 'README.md': '[Guide](docs/guides/caching.md)' },
    ],
    ['a link without a target', 'README.md:1 (not defined)', { 'README.md': 'See the [Guide].' }],
    [
      'a link to a missing file',
      `README.md:1 ${HOME}/blob/main/docs/none.md`,
      { 'README.md': `[Guide](${HOME}/blob/main/docs/none.md)` },
    ],
    [
      'a link to a missing heading',
      `README.md:1 ${HOME}/blob/main/README.md#none`,
      { 'README.md': `[Guide](${HOME}/blob/main/README.md#none)` },
    ],
    ['a path of this checkout', 'dist/a.js contains a path of this machine', { 'dist/a.js': `'${process.cwd()}/a'` }],
    ['a path of another machine', 'dist/a.js contains a path of a machine', { 'dist/a.js': "'/home/ada/project/a'" }],
    ['an app secret', 'dist/a.js contains a JWT, such as an app secret', { 'dist/a.js': `'${makeAppSecret(0)}'` }],
    [
      'a private key',
      'dist/a.js contains a private key',
      { 'dist/a.js': `-----BEGIN PRIVATE KEY-----\n${'A'.repeat(64)}` },
    ],
    [
      'a token for publishing',
      'dist/a.js contains a token of npm, GitHub or AWS',
      { 'dist/a.js': `npm_${'A1'.repeat(18)}` },
    ],
    [
      'a secret of the environment',
      'dist/a.js contains a secret of this environment',
      { 'dist/a.js': 'correct-horse-battery' },
    ],
  ])('fails on %s: %s', async (_, message, files) => {
    for (const [file, text] of Object.entries(files)) put(file, text)
    const env = { DEPLOY_TOKEN: 'correct-horse-battery' }
    const outcomes = await Promise.all(OFFLINE.map(only => check(only, { env })))
    const failed = outcomes.filter(({ code }) => code === 1)
    expect(failed.map(({ output }) => output)).toEqual([expect.stringContaining(message)])
  })

  it('fails if it has checked nothing', async () => {
    expect(await check('a name with a mistake')).toMatchObject({ code: 1 })
  })

  it('fails if the tag is not that of the version', async () => {
    const { code, output } = await check('changelog', { args: ['--tag', 'v9.9.9'] })
    expect(output).toContain(`The tag is v9.9.9, but the version is ${version}.`)
    expect(code).toBe(1)
  })
})
