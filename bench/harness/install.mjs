// Installs the packages that we compare with, at the first run, because they are not dependencies of the package.
import { execFileSync } from 'node:child_process'
import { mkdir, rm, stat, symlink } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const BENCH = fileURLToPath(new URL('..', import.meta.url))
const OURS = path.join(BENCH, 'node_modules/@video-io/videokit-nodejs')

export async function installCompetitors() {
  if (!(await isInstalled())) {
    console.error('Installing the packages to compare with (only once) …')
    execFileSync('npm', ['ci', '--prefix', BENCH, '--no-audit'], { stdio: 'inherit' })
  }
  // Our candidate is the built package, imported by name as a customer does.
  await mkdir(path.dirname(OURS), { recursive: true })
  await rm(OURS, { force: true })
  await symlink(path.join('..', '..', '..'), OURS, 'dir')
}

/** Whether npm's own copy of the lockfile, which it writes at the end, is newer than the lockfile. */
async function isInstalled() {
  const [wanted, installed] = await Promise.all(
    ['package-lock.json', 'node_modules/.package-lock.json'].map(file =>
      stat(path.join(BENCH, file)).catch(() => undefined),
    ),
  )
  return installed !== undefined && installed.mtimeMs >= wanted.mtimeMs
}
