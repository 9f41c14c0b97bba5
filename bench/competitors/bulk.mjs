// Ways to get a token for each identity of a long list. Each takes one sample of `{ tokens, failed, ms, cpuUs, peakBytes }`.
import { setTimeout as sleep } from 'node:timers/promises'
import { runCommand } from '../harness/command.mjs'
import { costOf, runConcurrently } from '../harness/cost.mjs'
import { countTokens, identities } from '../harness/identities.mjs'
import { minters } from './minters.mjs'

export const OURS = 'getSessionTokens'
export const COMMAND = 'vkit token'
const CONCURRENCIES = [16, 50, 200, 1000]

export const loopName = (name, concurrency) => `${name}, ${concurrency.toLocaleString('en')} at once`

/** Loops with a fixed number of calls in flight, as with `p-limit` or `p-map`. */
export const OUR_LOOPS = CONCURRENCIES.map(each => loopName('getSessionToken', each))
export const LOOPS = [...OUR_LOOPS, ...CONCURRENCIES.map(each => loopName('fetch', each))]

const MINTERS = { getSessionToken: minters.videokit, fetch: minters.fetch }

export const ways = {
  [OURS]: inProcess(async ({ url, appSecret }, tally) => {
    const { VKitClient } = await import('@video-io/videokit-nodejs')
    const vkit = new VKitClient({ appSecret, baseUrl: url })
    for await (const { token } of vkit.getSessionTokens(identities())) count(tally, token !== undefined)
  }),
  [COMMAND]: async ({ url, appSecret, ms, list }) => {
    const out = `${list}.out`
    const cost = await runCommand(['token', '--from', list, '--out', out, '--base-url', url], { appSecret, ms })
    return { ...cost, ...(await countTokens(out)), failed: 0 }
  },
  ...Object.fromEntries(
    Object.entries(MINTERS).flatMap(([name, minter]) =>
      CONCURRENCIES.map(concurrency => [loopName(name, concurrency), inProcess(loop(minter, concurrency))]),
    ),
  ),
}

function loop(minter, concurrency) {
  return async (given, tally) => {
    const mint = await minter.create(given)
    const users = identities()
    await runConcurrently(Infinity, concurrency, async () => {
      const isMinted = await mint(users.next().value).then(
        () => true,
        () => false,
      )
      count(tally, isMinted)
    })
  }
}

function count(tally, isMinted) {
  if (isMinted) tally.tokens++
  else tally.failed++
}

/** Counts what is done after `ms`. What then is still in flight ends with the process. */
function inProcess(run) {
  return async ({ ms, ...given }) => {
    const tally = { tokens: 0, failed: 0 }
    let done
    const cost = await costOf(async () => {
      await Promise.race([sleep(ms), run(given, tally)])
      done = { ...tally }
    })
    return { ...cost, ...done, peakBytes: process.resourceUsage().maxRSS * 1024 }
  }
}
