import { cachers, FLOOR, OURS, OURS_WITH_MORE } from '../competitors/cachers.mjs'
import { compare } from '../harness/stats.mjs'
import { runRounds, withCandidates } from '../harness/rounds.mjs'
import { number, percent, ratioOf, times } from '../report/format.mjs'

const WORKER = new URL('../workers/hit.mjs', import.meta.url)
const BARE = 'lru-cache, get'
const GOAL = 3.5
const GOAL_WITH_MORE = 1.2

export const title = 'A cached token'
export const about = `Calls for a cached token, one after another, for 1,000 users in turn. *Known* identities are strings that have been looked
up before. *Fresh* identities are new strings with the same text, as in a request, so their hash must still be computed. The time is
the CPU time of the whole process. The floor is the same call of an \`async\` function that returns a constant.`

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
      const ours = Object.fromEntries([OURS, ...OURS_WITH_MORE].map(name => [name, samples[name]]))
      data.plain = { ...data.plain, [strings]: compare(ours, OURS, 'cpuNs') }
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
    {
      head: ['', 'tokens', 'known: ns', '±', '× floor', 'fresh: ns', '±', '× floor'],
      rows,
      ours: [OURS, ...OURS_WITH_MORE],
    },
  ]
}

export function goals({ known, fresh, plain }) {
  const rivals = Object.keys(known).filter(
    name => ![FLOOR, BARE, OURS, ...OURS_WITH_MORE].includes(name) && cachers[name]?.keyed !== false,
  )
  const nearest = set => rivals.reduce((a, b) => (set[a].ratio < set[b].ratio ? a : b))
  const isAhead = name => [known, fresh].every(set => set[name].median < set[nearest(set)].median)
  const against = set => `${nearest(set)} ${times(set[nearest(set)].ratio)}`
  return [
    {
      goal: `a hit costs at most ${times(GOAL)} the floor`,
      saw: `${ratioOf(known[OURS])} known, ${ratioOf(fresh[OURS])} fresh`,
      reached: known[OURS].ratio <= GOAL && fresh[OURS].ratio <= GOAL,
    },
    ...OURS_WITH_MORE.map(name => ({
      goal: `${name}: a hit costs at most ${times(GOAL_WITH_MORE)} a plain one`,
      saw: `${ratioOf(plain.known[name])} known, ${ratioOf(plain.fresh[name])} fresh`,
      reached: plain.known[name].ratio <= GOAL_WITH_MORE && plain.fresh[name].ratio <= GOAL_WITH_MORE,
      why: `every option is validated, also for a cached token, and scopes need a second look-up: they are compared with those
of the token.`,
    })),
    ...[OURS, ...OURS_WITH_MORE].map(name => ({
      goal: `${name}: faster than every keyed cache except the bare look-up`,
      saw: `${times(known[name].ratio)}, the next is ${against(known)} (fresh: ${times(fresh[name].ratio)}, ${against(fresh)})`,
      reached: isAhead(name),
      why: `the \`ttl\` of \`lru-cache\` reads one clock, at most once per millisecond and tick. We read two clocks at every call, so
that an expired token is never served, even if a clock was set back or the machine was suspended.`,
    })),
  ]
}
