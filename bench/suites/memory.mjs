import { OURS } from '../competitors/cachers.mjs'
import { makePlainMint } from '../competitors/plain-mint.mjs'
import { withCandidates } from '../harness/rounds.mjs'
import { number } from '../report/format.mjs'
import { BARE_MAP, contenders } from '../workers/memory.mjs'

const WORKER = new URL('../workers/memory.mjs', import.meta.url)

export const title = 'Memory'
export const about = `Bytes of heap a cached token, everything counted: the token's text, the user's identity, and what is kept beside them. Ours minted
each of them at the gateway; the others were given them.`

/** A million mints take minutes; `--full` asks for them. */
export async function measure({ gateway, quick, full, note }) {
  const sizes = quick ? [10_000] : full ? [10_000, 100_000, 1_000_000] : [10_000, 100_000]
  const url = gateway.urls.http[0]
  const answer = JSON.stringify(await makePlainMint({ url, appSecret: 'APP_SECRET' })('IDENTITY'))
  const context = { url, appSecret: 'APP_SECRET', answer }
  const execArgv = ['--expose-gc', '--max-old-space-size=8192']
  const all = Object.keys(contenders).map(name => ({ worker: WORKER, name, context, execArgv }))
  const bytes = Object.fromEntries(Object.keys(contenders).map(name => [name, []]))
  for (const one of all) {
    await withCandidates([one], async ([candidate]) => {
      for (const size of sizes) {
        note(`${one.name}, ${size.toLocaleString('en')}`)
        bytes[one.name].push((await candidate.sample({ size })).bytesPerToken)
      }
    })
  }
  return { sizes, tokenLength: JSON.parse(answer).sessionToken.length, bytes }
}

export function tables({ sizes, tokenLength, bytes }) {
  const rows = Object.entries(bytes)
    .sort(([, a], [, b]) => a.at(-1) - b.at(-1))
    .map(([name, own]) => [name, ...own.map(number)])
  return [
    {
      caption: `A token has ${tokenLength} characters; bytes a token`,
      head: ['', ...sizes.map(size => size.toLocaleString('en'))],
      rows,
      ours: [OURS],
    },
  ]
}

export function goals() {
  return []
}

export { BARE_MAP }
