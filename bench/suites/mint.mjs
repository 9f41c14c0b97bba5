import { FLOOR, GOT_ALONE, minters, OURS, PREDECESSOR } from '../competitors/minters.mjs'
import { runRounds, withCandidates } from '../harness/rounds.mjs'
import { compare, median } from '../harness/stats.mjs'
import { number, percent, times } from '../report/format.mjs'

const WORKER = new URL('../workers/mint.mjs', import.meta.url)
const CONCURRENCIES = [1, 16, 64, 256]
const DELAYS_MS = [0, 20]
const SAMPLE_MINTS = 800
const GOAL = 1.7
const BEHIND = ['axios', 'got, defaults', 'fetch', 'ky']

export const title = 'A minted token'
export const about = `One call for a user who is not cached, at 1, 16, 64 and 256 calls at once, over http and https, with a gateway that answers at
once and one that takes 20 ms. CPU time of the client's process, a mint; the ratio is to what 0.0.6 did (node-fetch 2.7, whose
default agent keeps connections alive on Node 20), and \`node:http\` is the floor. Each contender mints 8,000 tokens before it is
measured: got needs as many to be at its best. The gateway is a \`node:http\` server in a process of its own; what it takes a mint is
in the last line: where that is more than the client takes, the rate is the gateway's, the CPU time is not.`

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

const describe = ({ protocol, delayMs, concurrency }) => `${protocol}, ${delayMs} ms, ${concurrency} at once`

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

/** Some 0.3 s a sample: with a slow gateway and few calls at once that is few mints. */
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
        caption: `${protocol}, ${delayMs === 0 ? 'answered at once' : `answered after ${delayMs} ms`}`,
        head: ['', ...shown.flatMap(({ concurrency }) => [`${concurrency}: µs`, '× 0.0.6', 'per s']), '±'],
        rows: [...rows, ['*the gateway*', ...shown.flatMap(cell => [number(cell.gatewayCpuUs), '', '']), '']],
        ours: [OURS],
      }
    }),
  )
}

export function goals({ cells }) {
  const { cpuUs } = cells.find(cell => cell.protocol === 'http' && cell.delayMs === 0 && cell.concurrency === 256)
  const ahead = BEHIND.filter(name => cpuUs[name].median <= cpuUs[OURS].median)
  return [
    {
      goal: `at 256 at once a mint costs at most ${times(GOAL)} 0.0.6's CPU`,
      saw: times(cpuUs[OURS].ratio),
      reached: cpuUs[OURS].ratio <= GOAL,
      why: whyMore(cpuUs),
    },
    {
      goal: `and less than with ${BEHIND.join('; ')}`,
      saw: BEHIND.map(name => `${name} ${times(cpuUs[name].ratio)}`).join('; '),
      reached: ahead.length === 0,
      why: whyMore(cpuUs),
    },
  ]
}

const whyMore =
  cpuUs => `got alone, with every supported option that makes it cheaper, takes ${times(cpuUs[GOT_ALONE].ratio)}; the rest is what
0.0.6 did not have: deadline, timeout, retries, circuit, checks of the answer and of its expiry, and the cache; a third of that is
V8's, which after a burst allocates parts of Node's requests as if they were to last, and then has to collect them as such`
