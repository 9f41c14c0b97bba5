import { OURS } from '../competitors/cachers.mjs'
import { makePlainMint } from '../competitors/plain-mint.mjs'
import { withCandidates } from '../harness/rounds.mjs'
import { number } from '../report/format.mjs'
import { contenders, OUR_CACHE } from '../workers/memory.mjs'

const WORKER = new URL('../workers/memory.mjs', import.meta.url)

export const title = 'Memory'
export const about = `Heap bytes per cached token, in total: the text of the token, the identity of the user, and all other data of the cache.
\`VKitClient\` mints each token at the gateway, which would take minutes for a million tokens. The other caches, and our cache without the
client, get their tokens without a request.`

export async function measure({ gateway, quick, note }) {
  const sizes = quick ? [10_000] : [10_000, 100_000, 1_000_000]
  const url = gateway.urls.http[0]
  const response = JSON.stringify(await makePlainMint({ url, appSecret: 'APP_SECRET' })('IDENTITY'))
  const context = { url, appSecret: 'APP_SECRET', response }
  const execArgv = ['--expose-gc', '--max-old-space-size=8192']
  const all = Object.keys(contenders).map(name => ({ worker: WORKER, name, context, execArgv }))
  const bytes = Object.fromEntries(Object.keys(contenders).map(name => [name, []]))
  for (const one of all) {
    await withCandidates([one], async ([candidate]) => {
      for (const size of sizesFor(one.name, sizes)) {
        note(`${one.name}, ${size.toLocaleString('en')}`)
        bytes[one.name].push((await candidate.sample({ size })).bytesPerToken)
      }
    })
  }
  return { sizes, tokenLength: JSON.parse(response).sessionToken.length, bytes }
}

const MOST_MINTS = 100_000

const sizesFor = (name, sizes) => (name === OURS ? sizes.filter(size => size <= MOST_MINTS) : sizes)

export function tables({ sizes, tokenLength, bytes }) {
  const rows = Object.entries(bytes)
    .sort(([, a], [, b]) => a[0] - b[0])
    .map(([name, own]) => [name, ...sizes.map((_, i) => (own[i] === undefined ? '' : number(own[i])))])
  return [
    {
      caption: `A token has ${tokenLength} characters. Bytes per token`,
      head: ['', ...sizes.map(size => size.toLocaleString('en'))],
      rows,
      ours: [OURS, OUR_CACHE],
    },
  ]
}

export function goals() {
  return []
}
