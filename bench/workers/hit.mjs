import { cachers } from '../competitors/cachers.mjs'
import { makePlainMint } from '../competitors/plain-mint.mjs'
import { costOf } from '../harness/cost.mjs'

const IDENTITIES = 1_000
const BATCH = 10_000
const WARM_UP_BATCHES = 20
const identityOf = i => `user-${String(1_000_000 + (i % IDENTITIES))}`

export async function setUp(name, { url, appSecret }) {
  const get = await cachers[name].create({ url, appSecret, capacity: 10_000, mint: makePlainMint({ url, appSecret }) })
  for (let i = 0; i < IDENTITIES; i++) await get(identityOf(i))
  const interned = Array.from({ length: IDENTITIES }, (_, i) => identityOf(i))
  const known = Array.from({ length: BATCH }, (_, i) => interned[i % IDENTITIES])
  for (let i = 0; i < WARM_UP_BATCHES; i++) await callAll(get, i % 2 ? known : makeStrings(BATCH))

  return async ({ strings, batches }) => {
    let [cpuUs, ms] = [0, 0]
    for (let i = 0; i < batches; i++) {
      const batch = strings === 'known' ? known : makeStrings(BATCH)
      const cost = await costOf(() => callAll(get, batch))
      cpuUs += cost.cpuUs
      ms += cost.ms
    }
    const calls = batches * BATCH
    return { cpuNs: (cpuUs * 1e3) / calls, ns: (ms * 1e6) / calls }
  }
}

async function callAll(get, identities) {
  for (const identity of identities) await get(identity)
}

/** Creates new strings without a computed hash, like the strings of a request. */
function makeStrings(count) {
  return Array.from({ length: count }, (_, i) => Buffer.from(identityOf(i), 'latin1').latin1Slice())
}
