import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { npmCommand } from '../../scripts/npm.mjs'

const here = import.meta.dirname
const root = path.resolve(here, '../..')
const NAME = '@video-io/videokit-nodejs'

/** Runs a command until it ends. If it fails, rejects with everything that it printed in `output`. */
export async function run(command, args, options = {}) {
  try {
    const { stdout, stderr } = await promisify(execFile)(command, args, { maxBuffer: 2 ** 26, ...options })
    return `${stdout}${stderr}`
  } catch (error) {
    throw Object.assign(new Error(`${path.basename(command)} ${args.join(' ')} failed`), {
      output: [error.stdout, error.stderr, error.killed ? 'It took too long.' : ''].join('\n').trim(),
    })
  }
}

/** Creates a folder outside the repository, where a project finds only what a user would have. */
export function makeWorkshop() {
  return mkdtemp(path.join(tmpdir(), 'consumers-'))
}

async function npm(args, options) {
  return run(...npmCommand(args), options)
}

/** Builds and packs the package, as `npm publish` does. */
export async function pack(workshop) {
  await npm(['pack', '--pack-destination', workshop], { cwd: root })
  const [tarball] = (await readdir(workshop)).filter(file => file.endsWith('.tgz'))
  return path.join(workshop, tarball)
}

/** Creates a project with the given tarball, packages and files. Installs with npm, or with `manager`. */
export async function makeProject(folder, { files, packages = {}, tarball, manager }) {
  await mkdir(folder, { recursive: true })
  const dependencies = { ...packages, ...(tarball && { [NAME]: `file:${tarball}` }) }
  await writeFile(path.join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }))
  await (manager ? installWith(manager, folder) : installWithNpm(folder))
  if (!files) return
  for (const shared of ['use-sdk.cjs', 'use-fake-timers.cjs', 'use-automock.cjs']) {
    await cp(path.join(here, 'projects', shared), path.join(folder, shared))
  }
  await cp(path.join(here, 'projects', files), folder, { recursive: true })
}

async function installWithNpm(folder) {
  const install = ['install', '--no-audit', '--no-fund', '--no-package-lock', '--ignore-scripts', '--prefer-offline']
  await npm(install, { cwd: folder, timeout: 240_000 })
}

async function installWith({ packages, file, args, env }, folder) {
  const tools = `${folder}-manager`
  await makeProject(tools, { packages })
  const command = [path.join(tools, 'node_modules', file), ...args]
  await run(process.execPath, command, { cwd: folder, env: { ...process.env, ...env }, timeout: 60_000 })
}
