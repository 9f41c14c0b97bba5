import { cachers, FLOOR } from '../competitors/cachers.mjs'
import { minters, PREDECESSOR } from '../competitors/minters.mjs'
import { makePlainMint } from '../competitors/plain-mint.mjs'
import { costOf } from '../harness/cost.mjs'

export const MAP = 'map of promises'

/** The cachers, the simplest solution (a map of promises), and the predecessor, which had no cache. */
export const contenders = {
  [MAP]: {
    async create({ mint }) {
      const pending = new Map()
      return identity => {
        let promise = pending.get(identity)
        if (!promise) pending.set(identity, (promise = mint(identity)))
        return promise
      }
    },
  },
  ...Object.fromEntries(Object.entries(cachers).filter(([name]) => name !== FLOOR)),
  [PREDECESSOR]: minters[PREDECESSOR],
}

export async function setUp(name, { url, appSecret, callers }) {
  const create = () =>
    contenders[name].create({ url, appSecret, capacity: 10_000, mint: makePlainMint({ url, appSecret }) })
  const callAll = get => Promise.allSettled(Array.from({ length: callers }, () => get('user-1000000')))
  // The first call loads and compiles code, which must not count here.
  const warm = await create()
  await warm('user-1000000')

  return async () => {
    const cold = await create()
    let calls = []
    const cost = await costOf(async () => (calls = await callAll(cold)))
    return { ...cost, failed: calls.filter(({ status }) => status === 'rejected').length }
  }
}
