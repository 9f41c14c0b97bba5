import { OURS } from '../competitors/cachers.mjs'
import { makePlainMint } from '../competitors/plain-mint.mjs'
import { withCandidates } from '../harness/rounds.mjs'
import { number } from '../report/format.mjs'
import { contenders, OUR_CACHE } from '../workers/memory.mjs'

const WORKER = new URL('../workers/memory.mjs', import.meta.url)

export const title = 'Memory'
export const about = `Bytes of heap a cached token, everything counted: the token's text, the user's identity, and what is kept beside them. \`VKitClient\`
mints each of them at the gateway, which a million would take minutes for; the others, and our cache alone, are given them.`

export async function measure({ gateway, quick, note }) {
  const sizes = quick ? [10_000] : [10_000, 100_000, 1_000_000]
  const url = gateway.urls.http[0]
  const answer = JSON.stringify(await makePlainMint({ url, appSecret: 'APP_SECRET' })('IDENTITY'))
  const context = { url, appSecret: 'APP_SECRET', answer }
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
  return { sizes, tokenLength: JSON.parse(answer).sessionToken.length, bytes }
}

const MOST_MINTS = 100_000

const sizesFor = (name, sizes) => (name === OURS ? sizes.filter(size => size <= MOST_MINTS) : sizes)

export function tables({ sizes, tokenLength, bytes }) {
  const rows = Object.entries(bytes)
    .sort(([, a], [, b]) => a[0] - b[0])
    .map(([name, own]) => [name, ...sizes.map((_, i) => (own[i] === undefined ? '' : number(own[i])))])
  return [
    {
      caption: `A token has ${tokenLength} characters; bytes a token`,
      head: ['', ...sizes.map(size => size.toLocaleString('en'))],
      rows,
      ours: [OURS, OUR_CACHE],
    },
  ]
}

export function goals() {
  return []
}
