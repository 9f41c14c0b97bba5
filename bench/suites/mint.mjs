import { FLOOR, GOT_MINIMAL, minters, OURS, PREDECESSOR } from '../competitors/minters.mjs'
import { runRounds, withCandidates } from '../harness/rounds.mjs'
import { compare, median } from '../harness/stats.mjs'
import { number, percent, ratioOf, times } from '../report/format.mjs'

const WORKER = new URL('../workers/mint.mjs', import.meta.url)
const CONCURRENCIES = [1, 16, 64, 256]
const DELAYS_MS = [0, 20]
const SAMPLE_MINTS = 800
const GOAL = 1.5
const RATE_GOAL = 0.8
const BEHIND = ['axios', 'got, defaults', 'fetch', 'ky']

export const title = 'A minted token'
export const about = `Calls for users who are not cached, with 1, 16, 64 and 256 concurrent calls, over http and https, and with a gateway that
responds immediately or after 20 ms. The time is the CPU time of the client's process per mint. The ratio compares it with version 0.0.6
(node-fetch 2.7, whose default agent keeps connections alive on Node 20). The floor is \`node:http\`. Each candidate mints 8,000 tokens
before the measurement, because got needs that many to reach its full speed. The gateway is a \`node:http\` server in its own process. The last
row shows its CPU time per mint: if that is more than the client's time, the gateway limits the rate, but not the CPU time.`

export async function measure({ gateway, quick, note }) {
  const context = { urls: gateway.urls, appSecret: 'APP_SECRET', warmUpPart: quick ? 0.2 : 1 }
  const env = { NODE_EXTRA_CA_CERTS: gateway.caFile }
  note('warming up')
  const all = Object.keys(minters).map(name => ({ worker: WORKER, name, context, env }))
  return withCandidates(all, async candidates => {
    const cells = []
    for (const setting of SETTINGS) {
      note(describe(setting))
      cells.push(await measureCell(candidates, { gateway, setting, rounds: quick ? 3 : 5, quick }))
    }
    return { rounds: quick ? 3 : 5, cells }
  })
}

const SETTINGS = ['http', 'https'].flatMap(protocol =>
  DELAYS_MS.flatMap(delayMs => CONCURRENCIES.map(concurrency => ({ protocol, delayMs, concurrency }))),
)

const describe = ({ protocol, delayMs, concurrency }) => `${protocol}, ${delayMs} ms, ${concurrency} concurrent`

async function measureCell(candidates, { gateway, setting, rounds, quick }) {
  const count = countOf(setting, quick)
  const samples = await runRounds(candidates, rounds, async one => {
    await gateway.usage()
    const sample = await one.sample({ ...setting, count })
    const { requests, cpuUs } = await gateway.usage()
    return { ...sample, gatewayCpuUs: cpuUs / requests }
  })
  const cpuUs = compare(samples, PREDECESSOR, 'cpuUs')
  const rate = compare(samples, PREDECESSOR, 'rate')
  return { ...setting, cpuUs, rate, gatewayCpuUs: median(samples[FLOOR].map(sample => sample.gatewayCpuUs)) }
}

/** About 0.3 s per sample. With a slow gateway and few concurrent calls, that is only a few mints. */
function countOf({ delayMs, concurrency }, quick) {
  const most = quick ? SAMPLE_MINTS / 2 : SAMPLE_MINTS
  return delayMs === 0 ? most : Math.min(most, Math.max(15, concurrency * 12))
}

export function tables({ cells }) {
  const names = Object.keys(cells[0].cpuUs)
  return ['http', 'https'].flatMap(protocol =>
    DELAYS_MS.map(delayMs => {
      const shown = cells.filter(cell => cell.protocol === protocol && cell.delayMs === delayMs)
      const last = shown.at(-1).cpuUs
      const rows = [...names]
        .sort((a, b) => last[a].median - last[b].median)
        .map(name => [
          name,
          ...shown.flatMap(({ cpuUs, rate }) => [
            number(cpuUs[name].median),
            times(cpuUs[name].ratio),
            number(rate[name].median),
          ]),
          percent(last[name].spread),
        ])
      return {
        caption: `${protocol}, ${delayMs === 0 ? 'immediate response' : `response after ${delayMs} ms`}`,
        head: ['', ...shown.flatMap(({ concurrency }) => [`${concurrency}: µs`, '× 0.0.6', 'per s']), '±'],
        rows: [...rows, ['*the gateway*', ...shown.flatMap(cell => [number(cell.gatewayCpuUs), '', '']), '']],
        ours: [OURS],
      }
    }),
  )
}

export function goals({ cells }) {
  const cellOf = delayMs =>
    cells.find(cell => cell.protocol === 'http' && cell.delayMs === delayMs && cell.concurrency === 256)
  const { cpuUs } = cellOf(0)
  const { rate } = cellOf(20)
  const dearer = cells.filter(cell => cell.cpuUs[OURS].median >= cell.cpuUs.axios.median)
  const ahead = BEHIND.filter(name => cpuUs[name].median <= cpuUs[OURS].median)
  return [
    {
      goal: `with 256 concurrent calls, a mint takes at most ${times(GOAL)} the CPU time of 0.0.6`,
      saw: ratioOf(cpuUs[OURS]),
      reached: cpuUs[OURS].ratio <= GOAL,
      why: whyMore(cpuUs),
    },
    {
      goal: `and less than with ${BEHIND.join('; ')}`,
      saw: BEHIND.map(name => `${name} ${times(cpuUs[name].ratio)}`).join('; '),
      reached: ahead.length === 0,
      why: whyMore(cpuUs),
    },
    {
      goal: 'less than with axios in every column',
      saw: dearer.length === 0 ? 'everywhere' : `not with ${dearer.map(describe).join('; ')}`,
      reached: dearer.length === 0,
    },
    {
      goal: `with 256 concurrent calls and a gateway of 20 ms, at least ${times(RATE_GOAL)} the mints per second of 0.0.6`,
      saw: ratioOf(rate[OURS]),
      reached: rate[OURS].ratio >= RATE_GOAL,
      why: 'one core mints as fast as its CPU allows: see the first goal of a mint.',
    },
  ]
}

const whyMore =
  cpuUs => `got with every supported option that makes it cheaper takes ${times(cpuUs[GOT_MINIMAL].ratio)}. The rest is the cost of what
0.0.6 did not have: deadline, timeout, retries, circuit, checks of the response and its expiry, and the cache. V8 causes a third of that:
after a burst, it allocates parts of Node's requests as long-lived objects, which are more expensive to collect`
