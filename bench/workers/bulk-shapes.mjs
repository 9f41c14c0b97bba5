import { VKitClient } from '@video-io/videokit-nodejs'

/** Kinds of identities whose mints end with a token. The emulator's process knows the others. */
const GOOD = new Set(['user', 'paused'])
const isGood = identity => GOOD.has(identity.split('-', 1)[0])

/** Gets a token for each identity of a list, some of which fail, and returns when which were done. */
export async function setUp(name, { url, appSecret }) {
  const vkit = new VKitClient({ appSecret, baseUrl: url })
  return async ({ shape, limitMs }) => {
    const identities = makeList(shape)
    const run = await runList(vkit, identities, limitMs)
    return { ...run, wrong: identities.length - run.right, total: identities.length }
  }
}

async function runList(vkit, identities, limitMs) {
  const missing = new Set(identities)
  const others = new Set(identities.filter(identity => identity.startsWith('user-')))
  const started = performance.now()
  let right = 0
  let othersMs
  try {
    for await (const result of vkit.getSessionTokens(identities, { signal: AbortSignal.timeout(limitMs) })) {
      const { identity, token } = result
      if (missing.delete(identity) && (isGood(identity) ? token?.identity === identity : token === undefined)) right++
      if (others.delete(identity) && others.size === 0) othersMs = performance.now() - started
    }
  } catch (error) {
    if (error.name !== 'TimeoutError') throw error
    return { right, othersMs, missing: missing.size }
  }
  return { right, othersMs, endMs: performance.now() - started, missing: missing.size }
}

/** Returns `total` identities, of which `bad` are of a kind that fails. */
function makeList({ kind, total, bad, order }) {
  const every = total / bad
  const isBad = {
    spread: i => Math.floor((i + 1) / every) > Math.floor(i / every),
    first: i => i < bad,
    last: i => i >= total - bad,
  }[order]
  return Array.from({ length: total }, (_, i) => `${isBad(i) ? kind : 'user'}-${i}`)
}
