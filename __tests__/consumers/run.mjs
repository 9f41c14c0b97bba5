// npm run test:consumers [-- --quick] [-- --only <part of a name>] [-- --keep]
//
// Packs the package, installs it into temporary projects, and runs the consumers, which mint from one gateway emulator.
// A consumer passes only if it ends without an error and the gateway has minted its token.
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { CONSUMERS, PROJECTS, RUNTIMES } from './consumers.mjs'
import { line, report } from './lines.mjs'
import { checkColdStarts, checkPackage, install } from './package.mjs'
import { makeProject, makeWorkshop, pack, run } from './project.mjs'

const { values: options } = parseArgs({
  options: { quick: { type: 'boolean' }, only: { type: 'string' }, keep: { type: 'boolean' } },
})
const wanted = CONSUMERS.filter(({ name, quick }) => (!options.quick || quick) && name.includes(options.only ?? ''))
const isLinux = `${process.platform}-${process.arch}` === 'linux-x64'
const chosen = wanted.filter(({ runtime, linuxOnly }) => isLinux || !(runtime || linuxOnly))
const workshop = await makeWorkshop()
const tarball = await pack(workshop)
// Imported here, because `pack` has just built it.
const { GatewayEmulator } = await import('../../dist/esm/testing/index.js')

const results = new Map()
const runtimes = new Map()
const gateway = await new GatewayEmulator().start()
await inParallel(Object.keys(PROJECTS), 2, runProject)
await gateway.stop()
const lines = chosen.map(({ name }) => results.get(name))
if (!options.only) {
  const installed = await install({ tarball, workshop })
  lines.push(...(await checkPackage({ tarball, ...installed })), ...(await checkColdStarts({ workshop, ...installed })))
}
if (!options.keep) await rm(workshop, { recursive: true, force: true })
if (chosen.length < wanted.length) console.log(`${wanted.length - chosen.length} skipped: they need linux-x64`)
report(lines)

async function runProject(project) {
  const consumers = chosen.filter(consumer => consumer.project === project)
  if (consumers.length === 0) return
  const { files = project, ...contents } = PROJECTS[project]
  const folder = path.join(workshop, project.replace(' ', '-'))
  const installed = makeProject(folder, { files, ...contents, tarball })
  installed.catch(() => undefined)
  for (const consumer of consumers) {
    results.set(consumer.name, await line(consumer.name, () => consume(consumer, folder, installed)))
  }
}

async function consume({ name, args, before, runtime, mints = true }, folder, installed) {
  await installed
  const [command, ...first] = runtime ? await runtimeCommand(runtime) : [process.execPath]
  const env = { ...process.env, CONSUMER: name, VKIT_APP_SECRET: gateway.appSecret, VKIT_BASE_URL: gateway.url }
  const options = { cwd: folder, env, timeout: 180_000 }
  if (before) await run(process.execPath, before, options)
  await run(command, [...first, ...args], options)
  const minted = gateway.requests.some(({ body, status }) => body.identity === name && status === 200)
  if (mints && !minted)
    throw new Error('The consumer ended without an error, but the gateway has minted no token for it.')
}

/** Installs a runtime at its first use, in its own folder. A failed install affects only the lines of that runtime. */
async function runtimeCommand(name) {
  const { packages, binary, args = [] } = RUNTIMES[name]
  const folder = path.join(workshop, `runtime-${name.replace(' ', '-')}`)
  if (!runtimes.has(name)) runtimes.set(name, makeProject(folder, { packages }))
  await runtimes.get(name)
  return [path.join(folder, 'node_modules', binary), ...args]
}

async function inParallel(items, width, task) {
  const queue = items.values()
  const worker = async () => {
    for (const item of queue) await task(item)
  }
  await Promise.all(Array.from({ length: width }, worker))
}
