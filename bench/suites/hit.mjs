import { cachers, FLOOR, OURS } from '../competitors/cachers.mjs'
import { compare } from '../harness/stats.mjs'
import { runRounds, withCandidates } from '../harness/rounds.mjs'
import { number, percent, times } from '../report/format.mjs'

const WORKER = new URL('../workers/hit.mjs', import.meta.url)
const SCOPED = 'videokit, with scopes'
const BARE = 'lru-cache, get'
const GOAL = 3.5

export const title = 'A cached token'
export const about = `One call of a token that is cached, awaited before the next: 1,000 users, each asked for in turn. *Known* identities
are strings that have been looked up before; *fresh* ones are new strings of the same text, as they come with a request: their hash
is still to be computed. CPU time of the whole process. The floor is the same call of an \`async\` function that returns a constant.`

export async function measure({ gateway, quick, note }) {
  const rounds = quick ? 5 : 15
  const context = { url: gateway.urls.http[0], appSecret: 'APP_SECRET' }
  const all = Object.keys(cachers).map(name => ({ worker: WORKER, name, context }))
  return withCandidates(all, async candidates => {
    const data = {}
    for (const strings of ['known', 'fresh']) {
      note(`${strings} identities`)
      const samples = await runRounds(candidates, rounds, one => one.sample({ strings, batches: quick ? 5 : 10 }))
      data[strings] = compare(samples, FLOOR, 'cpuNs')
    }
    return { rounds, ...data }
  })
}

export function tables({ known, fresh }) {
  const rows = Object.keys(known)
    .sort((a, b) => known[a].median - known[b].median)
    .map(name => [
      name,
      name === FLOOR ? '' : cachers[name]?.keyed === false ? 'one' : 'many',
      ...[known[name], fresh[name]].flatMap(({ median, spread, ratio }) => [
        number(median),
        percent(spread),
        times(ratio),
      ]),
    ])
  return [
    { head: ['', 'tokens', 'known: ns', '±', '× floor', 'fresh: ns', '±', '× floor'], rows, ours: [OURS, SCOPED] },
  ]
}

export function goals({ known, fresh }) {
  const rivals = Object.keys(known).filter(
    name => ![FLOOR, BARE, OURS, SCOPED].includes(name) && cachers[name]?.keyed !== false,
  )
  const nearest = set => rivals.reduce((a, b) => (set[a].ratio < set[b].ratio ? a : b))
  const isAhead = name => [known, fresh].every(set => set[name].median < set[nearest(set)].median)
  const against = set => `${nearest(set)} ${times(set[nearest(set)].ratio)}`
  return [
    {
      goal: `a hit costs at most ${times(GOAL)} the floor`,
      saw: `${times(known[OURS].ratio)} known, ${times(fresh[OURS].ratio)} fresh`,
      reached: known[OURS].ratio <= GOAL && fresh[OURS].ratio <= GOAL,
    },
    ...[OURS, SCOPED].map(name => ({
      goal: `${name}: ahead of every keyed cache but the bare look-up`,
      saw: `${times(known[name].ratio)}, the nearest is ${against(known)} (fresh: ${times(fresh[name].ratio)}, ${against(fresh)})`,
      reached: isAhead(name),
      why: `\`lru-cache\`'s own \`ttl\` reads one clock, and that at most once a millisecond and tick; we read two at every call, for a
token that has expired is never to be served, whether a clock was set back or the machine slept.`,
    })),
  ]
}
