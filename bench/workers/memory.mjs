import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { buildSync } from 'esbuild'
import { cachers, OURS } from '../competitors/cachers.mjs'
import { runConcurrently } from '../harness/cost.mjs'

export const BARE_MAP = 'Map of token texts'

/** Keeps the parsed response, as it is. */
export const REFERENCE = 'lru-cache, get'

export const OUR_CACHE = 'videokit, only the cache'

/** The caches for many tokens that accept a mint without network, and our client, which does not accept one. */
export const contenders = {
  [BARE_MAP]: {
    async create({ mint }) {
      const texts = new Map()
      return async identity => texts.set(identity, (await mint(identity)).sessionToken)
    },
  },
  [OUR_CACHE]: { create: createOurCache },
  ...Object.fromEntries(
    [
      REFERENCE,
      OURS,
      'lru-cache, fetch',
      'p-memoize, on lru-cache',
      'async-cache-dedupe',
      'cache-manager',
      'bentocache',
    ].map(name => [name, cachers[name]]),
  ),
}

/** Creates the cache of our client without the client, because a million mints over HTTP would take minutes. */
async function createOurCache({ mint, capacity }) {
  const { TokenCache, parseSessionResponse, Events, systemClock: clock } = await loadInternals()
  const events = new Events()
  const scopes = Object.freeze([])
  const cache = new TokenCache({
    maxEntries: capacity,
    refreshAhead: 0.5,
    deadlineMs: 15_000,
    clock,
    events,
    random: Math.random,
    mint: async request => {
      const now = { wall: clock.now(), monotonic: clock.monotonic() }
      return parseSessionResponse({ body: await mint(request.identity) }, request, { start: now, end: now, events })
    },
  })
  return identity => cache.get({ identity, scopes }, { mode: 'default', deadlineMs: 15_000 })
}

/** Loads internal modules, which the package does not export, from the source. */
async function loadInternals() {
  const root = fileURLToPath(new URL('../../', import.meta.url))
  const outfile = path.join(root, 'node_modules/.cache/bench-memory.mjs')
  const files = ['cache/token-cache', 'gateway/session-response', 'core/events', 'core/clock']
  const contents = files.map(file => `export * from './lib/${file}.ts'`).join('\n')
  buildSync({ stdin: { contents, resolveDir: root }, outfile, bundle: true, format: 'esm', packages: 'external' })
  return import(pathToFileURL(outfile))
}

export async function setUp(name, { url, appSecret, response }) {
  const mint = async identity => JSON.parse(response.replace('"IDENTITY"', JSON.stringify(identity)))

  // The first calls load and compile code, which must not count as part of a token.
  const warm = await contenders[name].create({ url, appSecret, capacity: 3_000, mint })
  await runConcurrently(3_000, 64, i => warm(`user-${i}`))

  return async ({ size }) => {
    const before = await usedBytes()
    const get = await contenders[name].create({ url, appSecret, capacity: size, mint })
    // Few at once, because open connections must not count as part of a token.
    await runConcurrently(size, 8, i => get(`user-${1_000_000 + i}`))
    const bytes = (await usedBytes()) - before
    // Without a use after the measurement, the cache would already be collected.
    await get('user-1000000')
    return { bytesPerToken: bytes / size }
  }
}

async function usedBytes() {
  for (let i = 0; i < 6; i++) {
    await new Promise(resolve => setTimeout(resolve, 20))
    globalThis.gc()
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
