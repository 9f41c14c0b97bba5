// The packages in the bundle. Scanners of customers do not see them: see docs/decisions/0018-one-package.md.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { NotChecked } from '../../__tests__/consumers/lines.mjs'
import { npm } from '../npm.mjs'

/** Licences that ask for nothing except to keep their text. */
const LICENCES = ['MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'BlueOak-1.0.0', 'Apache-2.0']

/** A list without one of these is wrong. */
const ALWAYS = ['got', 'jose', 'lru-cache', 'p-retry']

/** Lists the bundled packages. Fails if one has another licence, or if its text is not in the package. */
export async function checkLicences(root) {
  const packages = await bundledIn(root)
  const texts = await readFile(path.join(root, 'dist/THIRD-PARTY-LICENSES.txt'), 'utf8')
  const problems = packages.flatMap(({ name, version, licence }) => {
    if (!LICENCES.includes(licence)) return [`${name} has the licence ${licence}`]
    return texts.includes(`\n${name} ${version} (${licence})\n`) ? [] : [`the licence of ${name} ${version} is missing`]
  })
  if (problems.length > 0) throw new Error(problems.join('\n'))
  return packages.map(({ name, version, licence }) => `${name} ${version} (${licence})`).join(', ')
}

/** Reports newer versions, which are no reason to fail. */
export async function checkNewerVersions(root) {
  const found = await Promise.all((await bundledIn(root)).map(newestVersion))
  const unknown = found.filter(({ newest }) => newest === undefined)
  if (unknown.length > 0) throw new NotChecked(`no response for ${unknown.map(({ name }) => name).join(', ')}`)
  const newer = found.filter(({ version, newest }) => newest !== version)
  return newer.map(({ name, version, newest }) => `${name} ${version} -> ${newest}`).join(', ') || 'none'
}

async function newestVersion({ name, version }) {
  const { output, failed } = await npm(['view', name, 'version'])
  return { name, version, newest: failed ? undefined : output.trim() }
}

/** Fails if an advisory affects a bundled package, in the version that the lockfile pins. */
export async function checkAdvisories(root) {
  // It exits with an error if it finds advisories.
  const { output } = await npm(['audit', '--json', '--package-lock-only'])
  const { vulnerabilities, message } = JSON.parse(output || '{}')
  if (!vulnerabilities) throw new NotChecked(`${message ?? 'no response'}. Look them up before the release.`)
  const bundled = await bundledIn(root)
  const { packages: installed } = await readJson('package-lock.json')
  /** `nodes` are the affected folders. Another version of a bundled package can be elsewhere in node_modules. */
  const isBundled = ({ name, nodes }) => {
    const versions = nodes.map(folder => installed[folder]?.version)
    return bundled.some(each => each.name === name && versions.includes(each.version))
  }
  const advisories = Object.values(vulnerabilities)
    .filter(isBundled)
    .flatMap(({ name, via }) => via.filter(each => typeof each === 'object').map(each => ({ name, ...each })))
  if (advisories.length > 0)
    throw new Error(advisories.map(({ name, title, url }) => `${name}: ${title} ${url}`).join('\n'))
  return 'none'
}

async function bundledIn(root) {
  const { components } = await readJson(path.join(root, 'dist/sbom.cdx.json'))
  const missing = ALWAYS.filter(wanted => !components.some(({ name }) => name === wanted))
  if (missing.length > 0) throw new Error(`dist/sbom.cdx.json does not list ${missing.join(', ')}`)
  return components.map(({ group, name, version, licenses = [] }) => ({
    name: group ? `${group}/${name}` : name,
    version,
    licence:
      licenses.map(({ license, expression }) => expression ?? license.id ?? license.name).join(' and ') || 'none',
  }))
}

async function readJson(file) {
  return JSON.parse(await readFile(file, 'utf8'))
}
