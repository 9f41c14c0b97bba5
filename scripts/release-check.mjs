// npm run release:check
//
// Reports newer versions of the packages in the bundle, and fails if an advisory affects one of them. Scanners of customers
// do not see bundled packages: see docs/decisions/0018-one-package.md.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'

const { values: options } = parseArgs({ options: { list: { type: 'string', default: 'dist/sbom.cdx.json' } } })
const { components } = await readJson(options.list)
const bundled = components.map(({ group, name, version }) => ({ name: group ? `${group}/${name}` : name, version }))
const { packages: installed } = await readJson('package-lock.json')

console.log(`Bundled packages: ${bundled.length}`)
await Promise.all(bundled.map(reportNewerVersion))
await reportAdvisories()

async function reportNewerVersion({ name, version }) {
  const { output, failed } = await npm('view', name, 'version')
  const latest = output.trim()
  if (failed) console.log(`NOT CHECKED: newer versions of ${name}`)
  else if (latest !== version) console.log(`newer: ${name} ${version} -> ${latest}`)
}

async function reportAdvisories() {
  const { output } = await npm('audit', '--json', '--package-lock-only')
  const { vulnerabilities, message } = JSON.parse(output || '{}')
  if (!vulnerabilities) {
    console.log(`NOT CHECKED: advisories (${message ?? 'no response'}). Check them before the release.`)
    return
  }
  const affected = Object.values(vulnerabilities).filter(isBundled)
  for (const { name, via } of affected) {
    for (const { title, url } of via.filter(each => typeof each === 'object')) {
      console.log(`ADVISORY: ${name}: ${title} ${url}`)
    }
  }
  console.log(`Advisories against bundled packages: ${affected.length}`)
  if (affected.length > 0) process.exitCode = 1
}

/** `nodes` are the affected folders. Another version of a bundled package can be elsewhere in node_modules. */
function isBundled({ name, nodes, via }) {
  const versions = nodes.map(folder => installed[folder]?.version)
  const isCause = via.some(each => typeof each === 'object')
  return isCause && bundled.some(each => each.name === name && versions.includes(each.version))
}

/** Runs npm with the file that `npm run` names. `npm audit` also exits with an error if it finds advisories. */
function npm(...args) {
  return new Promise(done => {
    execFile(process.execPath, [process.env.npm_execpath, ...args], { maxBuffer: 2 ** 26 }, (failed, output) =>
      done({ failed, output }),
    )
  })
}

async function readJson(file) {
  return JSON.parse(await readFile(file, 'utf8'))
}
