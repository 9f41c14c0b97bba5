import { rm } from 'node:fs/promises'
import { COMMAND, LOOPS, loopName, OUR_LOOPS, OURS, ways } from '../competitors/bulk.mjs'
import { withList } from '../harness/identities.mjs'
import { runRounds, withCandidates } from '../harness/rounds.mjs'
import { compare, median, pairedRatio } from '../harness/stats.mjs'
import { bytes, number, percent, ratioOf, times } from '../report/format.mjs'

const WORKER = new URL('../workers/bulk.mjs', import.meta.url)
const DELAYS_MS = [0, 5, 50, 200]
const REFERENCE = loopName('getSessionToken', 50)
const GOAL = { delayMs: 50, share: 0.8 }

export const title = 'Many tokens'
export const about = `A long list of users who are not cached, with gateways of different latency. A *loop* has a fixed number of calls in flight, as
with p-limit or p-map, of \`getSessionToken\` or of a mint written by hand with \`fetch\`. Each sample is a new process: it starts with no
connection and with code that V8 has not optimized. The rate counts what is done in its time. The *share* is the rate in relation to that
of the fastest loop of the same round, whichever that is. *Busy* is the CPU time in relation to the time of the sample: near 100 %, the
CPU limits the rate. The time of \`${COMMAND}\` includes the start of the process.`

export async function measure({ gateway, quick, seconds = quick ? 2 : 10, note }) {
  const rounds = quick ? 1 : 3
  return withList(200_000, async list => {
    const context = { appSecret: 'APP_SECRET', list }
    const all = Object.keys(ways).map(name => ({ worker: WORKER, name, context }))
    const cells = []
    for (const delayMs of quick ? [0, 50] : DELAYS_MS) {
      note(`${delayMs} ms`)
      const params = { url: gateway.urls.http[delayMs], ms: seconds * 1e3 }
      cells.push({ delayMs, ...summarize(await runRounds(all, rounds, one => sampleOf(one, params))) })
    }
    return { rounds, seconds, cells }
  })

  async function sampleOf(one, params) {
    const sample = await withCandidates([one], ([candidate]) => candidate.sample(params))
    await rm(`${one.context.list}.out`, { force: true })
    const { tokens, ms, cpuUs, peakBytes } = sample
    return { rate: tokens / (ms / 1e3), cpuUs: cpuUs / Math.max(1, tokens), peakBytes }
  }
}

function summarize(samples) {
  return {
    rate: compare(samples, REFERENCE, 'rate'),
    cpuUs: compare(samples, REFERENCE, 'cpuUs'),
    peakBytes: compare(samples, REFERENCE, 'peakBytes'),
    ...shareOf(samples, LOOPS),
    // What the CPU allows with the mint of this package, which costs more than one by hand.
    own: shareOf(samples, OUR_LOOPS),
  }
}

/** Compares each rate with that of the fastest loop of its round. */
function shareOf(samples, loops) {
  const rates = name => samples[name].map(({ rate }) => rate)
  const best = samples[OURS].map((_, round) => Math.max(...loops.map(name => rates(name)[round])))
  return {
    share: Object.fromEntries(Object.keys(samples).map(name => [name, pairedRatio(rates(name), best)])),
    fastest: loops.reduce((a, b) => (median(rates(a)) >= median(rates(b)) ? a : b)),
  }
}

export function tables({ seconds, cells }) {
  return cells.map(({ delayMs, rate, cpuUs, peakBytes, share }) => ({
    caption: `A gateway of ${delayMs} ms, ${seconds} s each`,
    head: ['', 'per s', '±', 'share', '±', 'CPU µs', '×', 'busy', 'peak memory'],
    rows: Object.keys(rate).map(name => [
      name,
      number(rate[name].median),
      percent(rate[name].spread),
      percent(share[name].ratio),
      percent(share[name].ratioSpread),
      number(cpuUs[name].median),
      times(cpuUs[name].ratio),
      percent((rate[name].median * cpuUs[name].median) / 1e6),
      bytes(peakBytes[name].median),
    ]),
    ours: [OURS, COMMAND],
  }))
}

export function goals({ cells }) {
  const { share, fastest, own } = cells.find(({ delayMs }) => delayMs === GOAL.delayMs)
  return [OURS, COMMAND].map(name => ({
    goal: `${name}: with a gateway of ${GOAL.delayMs} ms, at least ${times(GOAL.share)} the rate of the fastest loop`,
    saw: `${ratioOf(share[name])} of ${fastest}; ${ratioOf(own.share[name])} of ${own.fastest}`,
    reached: share[name].ratio >= GOAL.share,
  }))
}
