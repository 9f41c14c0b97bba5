import { runRounds, withCandidates } from '../harness/rounds.mjs'
import { compare } from '../harness/stats.mjs'
import { number, percent, ratioOf, times } from '../report/format.mjs'
import { ALONE, BESIDE_BATCH, SITUATIONS } from '../workers/bulk-callers.mjs'

const WORKER = new URL('../workers/bulk-callers.mjs', import.meta.url)
const DELAY_MS = 50
const GOALS = { p50: 1.2, p99: 2 }

export const title = 'Callers beside a long list'
export const about = `The time that a caller waits for a token, if each caller is a new user, one comes every 10 ms, and the gateway takes ${DELAY_MS} ms.
The other work is done by the same client in the same process, so it also takes CPU time from the callers.`

export async function measure({ gateway, quick, seconds = quick ? 3 : 10, note }) {
  const rounds = quick ? 1 : 5
  const context = { url: gateway.urls.http[DELAY_MS], appSecret: 'APP_SECRET' }
  const all = SITUATIONS.map(name => ({ worker: WORKER, name, context }))
  note(`${rounds} rounds`)
  const samples = await runRounds(all, rounds, one =>
    withCandidates([one], ([candidate]) => candidate.sample({ ms: seconds * 1e3 })),
  )
  const [p50, p99, worst] = ['p50', 'p99', 'worst'].map(key => compare(samples, ALONE, key))
  return { rounds, p50, p99, worst }
}

export function tables({ p50, p99, worst }) {
  const cells = ({ median, ratioSpread, ratio }) => [number(median), percent(ratioSpread), times(ratio)]
  return [
    {
      head: ['', 'p50: ms', '±', `× ${ALONE}`, 'p99: ms', '±', `× ${ALONE}`, 'longest: ms'],
      rows: SITUATIONS.map(name => [name, ...cells(p50[name]), ...cells(p99[name]), number(worst[name].median)]),
      ours: [BESIDE_BATCH],
    },
  ]
}

export function goals(data) {
  return Object.entries(GOALS).map(([key, most]) => ({
    goal: `beside \`getSessionTokens\`, the ${key} of a caller is at most ${times(most)} that without`,
    saw: ratioOf(data[key][BESIDE_BATCH]),
    reached: data[key][BESIDE_BATCH].ratio <= most,
  }))
}
