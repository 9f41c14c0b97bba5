import { cachers, FLOOR } from '../competitors/cachers.mjs'
import { minters, PREDECESSOR } from '../competitors/minters.mjs'
import { makePlainMint } from '../competitors/plain-mint.mjs'
import { costOf } from '../harness/cost.mjs'

export const MAP = 'map of promises'

/** The cachers, the least that would do, and the client that kept nothing. */
export const contenders = {
  [MAP]: {
    async create({ mint }) {
      const flights = new Map()
      return identity => {
        let flight = flights.get(identity)
        if (!flight) flights.set(identity, (flight = mint(identity)))
        return flight
      }
    },
  },
  ...Object.fromEntries(Object.entries(cachers).filter(([name]) => name !== FLOOR)),
  [PREDECESSOR]: minters[PREDECESSOR],
}

export async function setUp(name, { url, appSecret, callers }) {
  const create = () =>
    contenders[name].create({ url, appSecret, capacity: 10_000, mint: makePlainMint({ url, appSecret }) })
  const ask = get => Promise.allSettled(Array.from({ length: callers }, () => get('user-1000000')))
  // What is loaded and compiled at the first call is no cost of a herd.
  const warm = await create()
  await warm('user-1000000')

  return async () => {
    const cold = await create()
    let calls = []
    const cost = await costOf(async () => (calls = await ask(cold)))
    return { ...cost, failed: calls.filter(({ status }) => status === 'rejected').length }
  }
}
