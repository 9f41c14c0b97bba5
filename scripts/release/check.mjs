// npm run release:check [-- --tag v1.2.3] [-- --only <part of a name>] [-- --package <folder>]
//
// Everything that a publisher must see green, on the tarball that `npm publish` would upload.
//
// --tag      the tag of the release: it must agree with the version, and nothing may be left unchecked
// --package  an unpacked package to check instead; without the checks that need a tarball
import { rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { line, report } from '../../__tests__/consumers/lines.mjs'
import { checkPackage, filesOf, install } from '../../__tests__/consumers/package.mjs'
import { makeWorkshop, pack } from '../../__tests__/consumers/project.mjs'
import { checkAdvisories, checkLicences, checkNewerVersions } from './bundled.mjs'
import { checkLeaks } from './leaks.mjs'
import { checkLinks, checkWebLinks } from './links.mjs'
import { checkChangelog, checkCorrections, checkMetadata } from './metadata.mjs'

const { values: options } = parseArgs({
  options: { tag: { type: 'string' }, only: { type: 'string', default: '' }, package: { type: 'string' } },
})

const CHECKS = {
  'changelog, version and tag agree': root => checkChangelog(root, options.tag),
  'package.json: where the package comes from': checkMetadata,
  'package.json: nothing for npm to correct': checkCorrections,
  'licences of the bundled packages': checkLicences,
  'advisories against the bundled packages': checkAdvisories,
  'newer versions of the bundled packages': checkNewerVersions,
  'no path and no secret': checkLeaks,
  'links of the packed pages': checkLinks,
  'links to other sites': checkWebLinks,
}

const workshop = await makeWorkshop()
try {
  const lines = []
  const root = options.package ?? (await packAndCheck(lines))
  for (const [name, check] of Object.entries(CHECKS)) {
    if (name.includes(options.only)) lines.push(await line(name, () => check(root)))
  }
  report(lines, { strict: options.tag !== undefined })
} finally {
  await rm(workshop, { recursive: true, force: true })
}

/** Packs the package, prints what is in it, and adds the lines of the checks that need the tarball. */
async function packAndCheck(lines) {
  const tarball = await pack(workshop)
  const { folder, root } = await install({ tarball, workshop })
  for (const file of (await filesOf(root)).sort()) {
    console.log(`${String((await stat(path.join(root, file))).size).padStart(8)}  ${file}`)
  }
  console.log()
  if (!options.only) lines.push(...(await checkPackage({ tarball, folder, root })))
  return root
}
