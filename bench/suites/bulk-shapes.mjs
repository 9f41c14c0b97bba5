import { Gateway } from '../harness/gateway.mjs'
import { withCandidates } from '../harness/rounds.mjs'
import { number } from '../report/format.mjs'

const WORKER = new URL('../workers/bulk-shapes.mjs', import.meta.url)
const TOTAL = 300
const GOAL_MS = 10_000
const ORDERS = ['spread', 'first', 'last']
const SHAPES = [
  ...[3, 30, 100].flatMap(bad => ORDERS.map(order => ({ kind: 'error', bad, order }))),
  ...['paused', 'limited', 'silent'].flatMap(kind => ['first', 'last'].map(order => ({ kind, bad: 1, order }))),
]
const KINDS = {
  error: 'always get 500',
  paused: 'gets 429 for 30 s, with Retry-After: 30',
  limited: 'always gets 429, with Retry-After: 30',
  silent: 'never gets a response',
}

export const title = 'Lists with bad identities'
export const about = `\`getSessionTokens\` for ${TOTAL} identities, some of which fail, with the emulator of the package in its own process, which takes
20 ms. The table shows when the others were done, when the run ended, how many requests each bad identity took, and the results that were
wrong or missing.`

export async function measure({ quick, seconds = quick ? 20 : 180, note }) {
  const gateway = await Gateway.startEmulator({ delayMs: 20 })
  try {
    const shapes = []
    for (const shape of SHAPES) {
      note(describe(shape))
      shapes.push({ ...shape, ...(await sampleOf(shape)) })
    }
    return { seconds, shapes }
  } finally {
    gateway.stop()
  }

  async function sampleOf(shape) {
    const one = { worker: WORKER, name: describe(shape), context: gateway }
    const params = { shape: { total: TOTAL, ...shape }, limitMs: seconds * 1e3 }
    const sample = await withCandidates([one], ([candidate]) => candidate.sample(params))
    const requests = Object.values(await gateway.usage())
    return { ...sample, fewest: Math.min(...requests), most: Math.max(...requests) }
  }
}

const describe = ({ kind, bad, order }) =>
  `${bad} ${bad === 1 ? '' : `${order} `}${KINDS[kind]}${bad === 1 ? `, ${order}` : ''}`

export function tables({ seconds, shapes }) {
  const time = ms => (ms === undefined ? `> ${seconds}` : number(ms / 1e3))
  return [
    {
      head: ['', 'others: s', 'end: s', 'requests for each', 'wrong', 'missing'],
      rows: shapes.map(({ othersMs, endMs, fewest, most, wrong, missing, ...shape }) => [
        describe(shape),
        time(othersMs),
        time(endMs),
        fewest === most ? String(most) : `${fewest} to ${most}`,
        String(wrong - missing),
        String(missing),
      ]),
      ours: [],
    },
  ]
}

export function goals({ seconds, shapes }) {
  const times = shapes.map(({ othersMs = Infinity }) => othersMs)
  const slowest = shapes[times.indexOf(Math.max(...times))]
  const failed = shapes.filter(({ wrong }) => wrong > 0)
  return [
    {
      goal: `bad identities: the others are done within ${GOAL_MS / 1e3} s, in each list`,
      saw: `${Number.isFinite(slowest.othersMs ?? NaN) ? `${number(slowest.othersMs / 1e3)} s` : `more than ${seconds} s`} (${describe(slowest)})`,
      reached: Math.max(...times) <= GOAL_MS,
    },
    {
      goal: `every identity has its right result within ${seconds} s`,
      saw: `${shapes.length - failed.length} of ${shapes.length} lists`,
      reached: failed.length === 0,
    },
  ]
}
