import { minters } from '../competitors/minters.mjs'
import { costOf, runConcurrently } from '../harness/cost.mjs'

/** got needs some 8,000 mints before it is as fast as it gets; nobody is measured with fewer. */
const WARM_UP = { http: 8_000, https: 1_000 }

export async function setUp(name, { urls, appSecret, warmUpPart }) {
  let minted = 0
  // Always another user: a cache must not answer.
  const mintNew = async mint => {
    const identity = `user-${++minted}`
    const { identity: answered } = await mint(identity)
    if (answered !== identity) throw new Error(`asked for ${identity}, got ${answered}`)
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
    // Connections are made before: in a server they are there already.
    await runConcurrently(concurrency, concurrency, () => mintNew(mint))
    const { cpuUs, ms } = await costOf(() => runConcurrently(count, concurrency, () => mintNew(mint)))
    return { cpuUs: cpuUs / count, rate: (count / ms) * 1e3 }
  }
}
