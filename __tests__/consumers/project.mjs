import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

const here = import.meta.dirname
const root = path.resolve(here, '../..')
const NAME = '@video-io/videokit-nodejs'

/** Runs to its end; rejects, with all that was printed in `output`, where that is not a good one. */
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

/** A folder outside the repository, so that nothing is found here that a customer would not have. */
export function makeWorkshop() {
  return mkdtemp(path.join(tmpdir(), 'consumers-'))
}

/** Windows cannot start npm without a shell: Node runs the file that `npm run` names. */
function npm(args, options) {
  if (!process.env.npm_execpath) throw new Error('Run this with: npm run test:consumers')
  return run(process.execPath, [process.env.npm_execpath, ...args], options)
}

/** Builds and packs, as `npm publish` would. */
export async function pack(workshop) {
  await npm(['pack', '--pack-destination', workshop], { cwd: root })
  const [tarball] = (await readdir(workshop)).filter(file => file.endsWith('.tgz'))
  return path.join(workshop, tarball)
}

/** A new project with the tarball, the packages and the files that it names. */
export async function makeProject(folder, { files, packages = {}, tarball }) {
  await mkdir(folder, { recursive: true })
  const dependencies = { ...packages, ...(tarball && { [NAME]: `file:${tarball}` }) }
  await writeFile(path.join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }))
  const install = ['install', '--no-audit', '--no-fund', '--no-package-lock', '--ignore-scripts', '--prefer-offline']
  await npm(install, { cwd: folder, timeout: 240_000 })
  if (!files) return
  await cp(path.join(here, 'projects/use-sdk.cjs'), path.join(folder, 'use-sdk.cjs'))
  await cp(path.join(here, 'projects', files), folder, { recursive: true })
}
