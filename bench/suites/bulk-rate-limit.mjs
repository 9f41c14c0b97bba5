import { rm } from 'node:fs/promises'
import { COMMAND, loopName, OURS } from '../competitors/bulk.mjs'
import { withList } from '../harness/identities.mjs'
import { runRounds, withCandidates } from '../harness/rounds.mjs'
import { median } from '../harness/stats.mjs'
import { number, percent } from '../report/format.mjs'

const WORKER = new URL('../workers/bulk.mjs', import.meta.url)
const NAMES = [OURS, COMMAND, loopName('getSessionToken', 16), loopName('fetch', 16)]

export const title = 'Many tokens, with a rate limit'
export const about = `A gateway of 20 ms that allows 100 requests per second, as a token bucket. It responds with 429 to the others, immediately. The
*capacity* is how many requests it allows at once after a pause, so also at the start. The table shows the tokens per second, and the share
of requests that were refused.`

export async function measure({ gateway, quick, seconds = quick ? 5 : 20, note }) {
  const rounds = quick ? 1 : 2
  return withList(20_000, async list => {
    const all = NAMES.map(name => ({ worker: WORKER, name, context: { appSecret: 'APP_SECRET', list } }))
    const cells = []
    for (const { url, ...limit } of gateway.rateLimits) {
      note(describe(limit))
      const samples = await runRounds(all, rounds, one => sampleOf(one, { url, ms: seconds * 1e3 }))
      const summaries = Object.entries(samples).map(([name, own]) => [name, summarize(own)])
      cells.push({ ...limit, ways: Object.fromEntries(summaries) })
    }
    return { rounds, seconds, cells }
  })

  function sampleOf(one, params) {
    return withCandidates([one], async ([candidate]) => {
      await gateway.usage()
      const { tokens, ms } = await candidate.sample(params)
      const { requests, refused } = await gateway.usage()
      await rm(`${one.context.list}.out`, { force: true })
      return { rate: tokens / (ms / 1e3), refused: refused / requests }
    })
  }
}

const summarize = own => ({
  rate: median(own.map(({ rate }) => rate)),
  refused: median(own.map(({ refused }) => refused)),
  worst: { rate: Math.min(...own.map(({ rate }) => rate)), refused: Math.max(...own.map(({ refused }) => refused)) },
})

const describe = ({ capacity, retryAfter }) =>
  `capacity ${capacity}, ${retryAfter ? `Retry-After: ${retryAfter}` : 'no hint'}`

export function tables({ seconds, cells }) {
  return [
    {
      caption: `${seconds} s each`,
      head: ['', ...cells.flatMap(cell => [`${describe(cell)}: per s`, 'refused'])],
      rows: NAMES.map(name => [
        name,
        ...cells.flatMap(({ ways }) => [number(ways[name].rate), share(ways[name].refused)]),
      ]),
      ours: [OURS, COMMAND],
    },
  ]
}

const share = part => `${(part * 100).toFixed(1)} %`

export function goals({ cells }) {
  return [OURS, COMMAND].flatMap(name =>
    cells.map(cell => {
      const { worst } = cell.ways[name]
      const least = cell.retryAfter ? 70 : 85
      const most = cell.retryAfter ? 1 : 0.02
      return {
        goal: `${name}, ${describe(cell)}: at least ${least} per second in every round${most < 1 ? `, and less than ${percent(most)} refused` : ''}`,
        saw: `${number(worst.rate)} per second, ${share(worst.refused)} refused`,
        reached: worst.rate >= least && worst.refused < most,
      }
    }),
  )
}
