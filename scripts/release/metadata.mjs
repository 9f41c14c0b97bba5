import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { npm } from '../npm.mjs'

const HOME = 'https://github.com/Video-io/videokit-nodejs'

/** Fails unless the newest section of the changelog, the lockfile and the tag, if given, are those of the version. */
export async function checkChangelog(root, tag) {
  const { version } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'))
  const lockfile = JSON.parse(await readFile('package-lock.json', 'utf8'))
  const changelog = await readFile(path.join(root, 'CHANGELOG.md'), 'utf8')
  const [newest = '', ...entries] = changelog.split(/^## /m)[1]?.split('\n') ?? []
  const [, named, date] = /^\[(.+)\] - (\d{4}-\d\d-\d\d)$/.exec(newest) ?? []
  if (named === undefined) throw new Error(`The first section of the changelog is not a version with a date: ${newest}`)
  if (named !== version) throw new Error(`The changelog ends with ${named}, but the version is ${version}.`)
  if (!(new Date(date) <= new Date()))
    throw new Error(`The date of ${named} in the changelog is in the future: ${date}`)
  if (!entries.some(entry => entry.startsWith('- '))) throw new Error(`The changelog has no entry for ${named}.`)
  if (!changelog.includes(`\n[${version}]: ${HOME}/releases/tag/v${version}\n`)) {
    throw new Error(`The changelog has no link for ${named}.`)
  }
  if (lockfile.version !== version) throw new Error(`package-lock.json has the version ${lockfile.version}.`)
  if (tag !== undefined && tag !== `v${version}`) throw new Error(`The tag is ${tag}, but the version is ${version}.`)
  return `${version}, ${date}`
}

/** Fails unless npm can show where the package comes from, and prove it with provenance. */
export async function checkMetadata(root) {
  const { repository, homepage, bugs, publishConfig } = JSON.parse(
    await readFile(path.join(root, 'package.json'), 'utf8'),
  )
  const expected = {
    repository: { type: 'git', url: `git+${HOME}.git` },
    homepage: `${HOME}#readme`,
    bugs: { url: `${HOME}/issues` },
    publishConfig: { access: 'public', provenance: true },
  }
  const found = JSON.stringify({ repository, homepage, bugs, publishConfig })
  if (found !== JSON.stringify(expected)) throw new Error(`found ${found}, expected ${JSON.stringify(expected)}`)
  return HOME
}

/** Fails if npm would publish something else than package.json says, because it corrects a mistake. */
export async function checkCorrections(root) {
  const folder = await mkdtemp(path.join(tmpdir(), 'package-json-'))
  const file = path.join(folder, 'package.json')
  await cp(path.join(root, 'package.json'), file)
  const { failed } = await npm(['pkg', 'fix'], { cwd: folder })
  const [before, after] = await Promise.all([path.join(root, 'package.json'), file].map(each => readFile(each, 'utf8')))
  await rm(folder, { recursive: true })
  if (failed) throw failed
  if (JSON.stringify(JSON.parse(before)) !== JSON.stringify(JSON.parse(after))) throw new Error('Run: npm pkg fix')
}
