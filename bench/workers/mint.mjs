import { minters } from '../competitors/minters.mjs'
import { costOf, runConcurrently } from '../harness/cost.mjs'

/** got needs about 8,000 mints to reach its full speed, so every candidate gets that many. */
const WARM_UP = { http: 8_000, https: 1_000 }

export async function setUp(name, { urls, appSecret, warmUpPart }) {
  let minted = 0
  // Each call uses a new user, so that a cache cannot return a token.
  const mintNew = async mint => {
    const identity = `user-${++minted}`
    const { identity: returned } = await mint(identity)
    if (returned !== identity) throw new Error(`requested ${identity}, got ${returned}`)
  }

  const mints = {}
  for (const protocol of ['http', 'https']) {
    mints[protocol] = {}
    for (const [delayMs, url] of Object.entries(urls[protocol])) {
      mints[protocol][delayMs] = await minters[name].create({ url, appSecret })
    }
    await runConcurrently(WARM_UP[protocol] * warmUpPart, 64, () => mintNew(mints[protocol][0]))
  }

  return async ({ protocol, delayMs, concurrency, count }) => {
    const mint = mints[protocol][delayMs]
    // Connections are opened first, because a running server has them already.
    await runConcurrently(concurrency, concurrency, () => mintNew(mint))
    const { cpuUs, ms } = await costOf(() => runConcurrently(count, concurrency, () => mintNew(mint)))
    return { cpuUs: cpuUs / count, rate: (count / ms) * 1e3 }
  }
}
