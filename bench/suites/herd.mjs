import { OURS, OURS_WITH_MORE } from '../competitors/cachers.mjs'
import { withCandidates } from '../harness/rounds.mjs'
import { median, pairedRatio } from '../harness/stats.mjs'
import { number, ratioOf, times } from '../report/format.mjs'
import { contenders, MAP } from '../workers/herd.mjs'

const WORKER = new URL('../workers/herd.mjs', import.meta.url)
const CALLERS = 10_000
const GOAL = 4

export const title = 'Many concurrent calls'
export const about = `${CALLERS.toLocaleString('en')} concurrent calls for one user whose token is not cached. The table shows how many requests reach
the gateway, and the time until every caller has its token. The floor is a map of promises. If a client opens a connection for each
call, the gateway's queue of new connections can be full, and such calls fail.`

export async function measure({ gateway, quick, note }) {
  const rounds = quick ? 2 : 5
  const context = { url: gateway.urls.http[0], appSecret: 'APP_SECRET', callers: CALLERS }
  const all = Object.keys(contenders).map(name => ({ worker: WORKER, name, context }))
  return withCandidates(all, async candidates => {
    const samples = {}
    for (let round = 0; round < rounds; round++) {
      note(`round ${round + 1}`)
      for (const one of candidates) {
        await gateway.usage()
        const { ms, cpuUs, failed } = await one.sample({})
        const { requests } = await gateway.usage()
        ;(samples[one.name] ??= []).push({ ms, cpuMs: cpuUs / 1e3, requests, failed })
      }
    }
    return { rounds, callers: CALLERS, contenders: Object.fromEntries(Object.entries(samples).map(summarize(samples))) }
  })
}

const summarize =
  samples =>
  ([name, own]) => {
    const pick = (list, key) => list.map(sample => sample[key])
    const cpuMs = pick(own, 'cpuMs')
    return [
      name,
      {
        requests: Math.max(...pick(own, 'requests')),
        failed: Math.max(...pick(own, 'failed')),
        ms: median(pick(own, 'ms')),
        cpuMs: median(cpuMs),
        ...pairedRatio(cpuMs, pick(samples[MAP], 'cpuMs')),
      },
    ]
  }

export function tables({ contenders }) {
  const rows = Object.entries(contenders)
    .sort(([, a], [, b]) => a.cpuMs - b.cpuMs)
    .map(([name, { requests, failed, ms, cpuMs, ratio }]) => [
      name,
      requests.toLocaleString('en'),
      failed.toLocaleString('en'),
      number(ms),
      number(cpuMs),
      times(ratio),
    ])
  return [{ head: ['', 'requests', 'failed calls', 'ms', 'CPU ms', '× floor'], rows, ours: [OURS, ...OURS_WITH_MORE] }]
}

export function goals({ contenders, callers }) {
  const { requests } = contenders[OURS]
  return [
    {
      goal: `${callers.toLocaleString('en')} callers, one request`,
      saw: `${requests.toLocaleString('en')}`,
      reached: requests === 1,
    },
    {
      goal: `they take at most ${times(GOAL)} the CPU time of a map of promises`,
      saw: ratioOf(contenders[OURS]),
      reached: contenders[OURS].ratio <= GOAL,
    },
  ]
}
