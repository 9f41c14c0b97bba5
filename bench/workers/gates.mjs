// Measures what depends neither on a clock nor on other load: allocations, promises, timers and files of the built package.
import { createHook } from 'node:async_hooks'
import { readFile } from 'node:fs/promises'
import { Session } from 'node:inspector'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { getHeapSpaceStatistics } from 'node:v8'
import { runConcurrently } from '../harness/cost.mjs'
import { median } from '../harness/stats.mjs'

const ROOT = new URL('../../', import.meta.url)
const ESM = new URL('dist/esm/index.js', ROOT)
const CJS = fileURLToPath(new URL('dist/cjs/index.cjs', ROOT))
const LOCKFILE = new URL('package-lock.json', ROOT)
const REPEATS = 3

const measures = {
  hit: context => bytesOfHit(context, (vkit, user) => vkit.getSessionToken(user)),
  hitWithScopes: context =>
    bytesOfHit(context, (vkit, user) => vkit.getSessionToken(user, ['videos.read', 'videos.create'])),
  hitWithOptions: context =>
    bytesOfHit(context, (vkit, user) => vkit.getSessionToken(user, { scopes: ['videos.read', 'videos.create'] })),
  joinBytes: context => costOfJoin(context, allocatedBy),
  joinPromises: context => costOfJoin(context, created('PROMISE')),
  mint: bytesOfMint,
  mintPromises: context => resourcesOfMint(context, 'PROMISE'),
  mintTimers: context => resourcesOfMint(context, 'Timeout'),
  entry: bytesOfEntry,
  importFiles: () => countFiles(() => import(ESM)),
  requireFiles: () => countFiles(() => createRequire(import.meta.url)(CJS)),
  firstMintFiles: context => countFiles(async () => mintNew(await createClient(context))),
  packages: countPackages,
}

export async function setUp(name, context) {
  return () => measures[name](context)
}

async function createClient({ url }, options) {
  const { VKitClient } = await import(ESM)
  return new VKitClient({ appSecret: 'APP_SECRET', baseUrl: url, ...options })
}

let users = 0
const newUser = () => `user-${1_000_000 + users++}`
const mintNew = vkit => vkit.getSessionToken(newUser())

async function bytesOfHit(context, get) {
  const calls = 5_000
  const vkit = await createClient(context)
  const user = newUser()
  const hit = async () => {
    for (let i = 0; i < calls; i++) await get(vkit, user)
  }
  for (let i = 0; i < 5; i++) await hit()
  return repeat(() => allocatedBy(hit, calls))
}

async function costOfJoin(context, measure) {
  const callers = 2_000
  const vkit = await createClient(context)
  const join = async () => {
    const user = newUser()
    await Promise.all(Array.from({ length: callers }, () => vkit.getSessionToken(user)))
  }
  for (let i = 0; i < 5; i++) await join()
  return repeat(() => measure(join, callers))
}

async function bytesOfMint(context) {
  const mints = 512
  const vkit = await createClient(context)
  const mint = count => runConcurrently(count, 256, () => mintNew(vkit))
  await mint(1_000)
  return (await repeat(() => allocatedBy(() => mint(mints), mints))) / 1024
}

async function resourcesOfMint(context, type) {
  const mints = 20
  const vkit = await createClient(context)
  const mint = () => runConcurrently(mints, 1, () => mintNew(vkit))
  await mint()
  return repeat(() => created(type)(mint, mints))
}

/** What the collector frees with the client: minting leaves other objects behind, so that growth is less exact. */
async function bytesOfEntry(context) {
  const maxEntries = 3_000
  let vkit = await createClient(context, { cache: { maxEntries } })
  await runConcurrently(maxEntries, 8, () => mintNew(vkit))
  const before = await retainedBytes()
  vkit = undefined
  return (before - (await retainedBytes())) / maxEntries
}

async function countPackages() {
  const { packages } = JSON.parse(await readFile(LOCKFILE, 'utf8'))
  return Object.values(packages).filter(({ dev }) => !dev).length
}

async function repeat(measure) {
  const numbers = []
  for (let i = 0; i < REPEATS; i++) numbers.push(await measure())
  return median(numbers)
}

/** Per call of `count`, if the process has so much space for new objects that none of them is collected meanwhile. */
async function allocatedBy(work, count) {
  globalThis.gc()
  const before = process.memoryUsage().heapUsed
  await work()
  return (process.memoryUsage().heapUsed - before) / count
}

/** Without compiled code, which V8 adds and removes when it likes. Finalizers free memory that only a later collection finds. */
async function retainedBytes() {
  for (let i = 0; i < 6; i++) {
    await new Promise(resolve => setTimeout(resolve, 20))
    globalThis.gc()
  }
  return getHeapSpaceStatistics()
    .filter(({ space_name: name }) => !name.startsWith('code'))
    .reduce((sum, { space_used_size: size }) => sum + size, 0)
}

function created(wanted) {
  return async (work, count) => {
    let number = 0
    const hook = createHook({ init: (_, type) => void (number += type === wanted) }).enable()
    await work()
    hook.disable()
    return Math.round(number / count)
  }
}

/** Counts the files that V8 compiles, whichever loader reads them. */
async function countFiles(load) {
  const files = new Set()
  const session = new Session()
  session.connect()
  session.on('Debugger.scriptParsed', ({ params: { url } }) => url.startsWith('file:') && files.add(url))
  session.post('Debugger.enable')
  const before = files.size
  await load()
  session.disconnect()
  return files.size - before
}
