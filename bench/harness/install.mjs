// What we are measured against is no dependency of the package, so it is installed when it is first needed.
import { execFileSync } from 'node:child_process'
import { mkdir, rm, stat, symlink } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const BENCH = fileURLToPath(new URL('..', import.meta.url))
const OURS = path.join(BENCH, 'node_modules/@video-io/videokit-nodejs')

export async function installCompetitors() {
  if (!(await isInstalled())) {
    console.error('Installing what we are measured against, once …')
    execFileSync('npm', ['ci', '--prefix', BENCH, '--no-audit'], { stdio: 'inherit' })
  }
  // Ours as a customer has it: the built package, by its name.
  await mkdir(path.dirname(OURS), { recursive: true })
  await rm(OURS, { force: true })
  await symlink(path.join('..', '..', '..'), OURS, 'dir')
}

/** npm writes its own copy of the lockfile when it is done: older than the lockfile, it is of another one. */
async function isInstalled() {
  const [wanted, installed] = await Promise.all(
    ['package-lock.json', 'node_modules/.package-lock.json'].map(file =>
      stat(path.join(BENCH, file)).catch(() => undefined),
    ),
  )
  return installed !== undefined && installed.mtimeMs >= wanted.mtimeMs
}
