import { OURS } from '../competitors/cachers.mjs'
import { makePlainMint } from '../competitors/plain-mint.mjs'
import { runRounds, withCandidates } from '../harness/rounds.mjs'
import { compare } from '../harness/stats.mjs'
import { number, percent, ratioOf, times } from '../report/format.mjs'
import { contenders, OUR_CACHE, REFERENCE } from '../workers/memory.mjs'

const WORKER = new URL('../workers/memory.mjs', import.meta.url)
const SIZES = [10_000, 100_000, 1_000_000]
const MOST_MINTS = 100_000
const GOAL = 660

export const title = 'Memory'
export const about = `Heap bytes per cached token, in total: the text of the token, the identity of the user, and all other data of the cache.
\`VKitClient\` mints each token at the gateway, which would take minutes for a million tokens. The other caches, and our cache without the
client, get their tokens without a request.`

export async function measure({ gateway, quick, note }) {
  const sizes = quick ? SIZES.slice(0, 1) : SIZES
  const url = gateway.urls.http[0]
  const response = JSON.stringify(await makePlainMint({ url, appSecret: 'APP_SECRET' })('IDENTITY'))
  const context = { url, appSecret: 'APP_SECRET', response }
  const execArgv = ['--expose-gc', '--max-old-space-size=8192']
  const all = Object.keys(contenders).map(name => ({ worker: WORKER, name, context, execArgv }))
  const columns = []
  for (const size of sizes) {
    note(size.toLocaleString('en'))
    const able = all.filter(({ name }) => name !== OURS || size <= MOST_MINTS)
    const samples = await runRounds(able, quick || size > MOST_MINTS ? 1 : 3, one =>
      withCandidates([one], ([candidate]) => candidate.sample({ size })),
    )
    columns.push({ size, bytes: compare(samples, REFERENCE, 'bytesPerToken') })
  }
  return { tokenLength: JSON.parse(response).sessionToken.length, columns }
}

export function tables({ tokenLength, columns }) {
  const { size, bytes } = largestWithClient(columns)
  const rows = Object.entries(bytes)
    .sort(([, a], [, b]) => a.median - b.median)
    .map(([name, { spread, ratio }]) => [
      name,
      ...columns.map(column => (column.bytes[name] ? number(column.bytes[name].median) : '')),
      percent(spread),
      times(ratio),
    ])
  return [
    {
      caption: `A token has ${tokenLength} characters. Bytes per token; ± and × ${REFERENCE} are for ${size.toLocaleString('en')} tokens`,
      head: ['', ...columns.map(column => column.size.toLocaleString('en')), '±', `× ${REFERENCE}`],
      rows,
      ours: [OURS, OUR_CACHE],
    },
  ]
}

const largestWithClient = columns => columns.findLast(({ bytes }) => OURS in bytes)

export function goals({ columns }) {
  const { bytes } = largestWithClient(columns)
  return [
    {
      goal: `a cached token takes at most ${GOAL} B`,
      saw: `${number(bytes[OURS].median)} B, ${ratioOf(bytes[OURS])} of lru-cache with the parsed response`,
      reached: bytes[OURS].median <= GOAL,
    },
  ]
}
