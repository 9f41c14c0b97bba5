import { setTimeout as sleep } from 'node:timers/promises'
import { runConcurrently } from '../harness/cost.mjs'
import { identities } from '../harness/identities.mjs'

const EVERY_MS = 10
const WARM_UP_MS = 3_000

export const ALONE = 'alone'
export const BESIDE_BATCH = 'beside getSessionTokens'
export const BESIDE_LOOP = 'beside a loop of 200 calls'

/** What else the client does. */
const WORK = {
  [ALONE]: async () => undefined,
  [BESIDE_BATCH]: async vkit => {
    for await (const { error } of vkit.getSessionTokens(identities())) if (error) throw error
  },
  [BESIDE_LOOP]: vkit => {
    const users = identities()
    return runConcurrently(Infinity, 200, () => vkit.getSessionToken(users.next().value))
  },
}

export const SITUATIONS = Object.keys(WORK)

/** Times calls for new users, one every 10 ms, whether or not the earlier ones are done. */
export async function setUp(name, { url, appSecret }) {
  const { VKitClient } = await import('@video-io/videokit-nodejs')
  const vkit = new VKitClient({ appSecret, baseUrl: url })
  let callers = 0
  const timeCall = async () => {
    const started = performance.now()
    await vkit.getSessionToken(`caller-${++callers}`)
    return performance.now() - started
  }
  const callFor = async ms => {
    const calls = []
    for (const end = performance.now() + ms; performance.now() < end; await sleep(EVERY_MS)) calls.push(timeCall())
    return Promise.all(calls)
  }

  return async ({ ms }) => {
    // Its failure must end the process, which ends the sample.
    void WORK[name](vkit)
    await callFor(WARM_UP_MS)
    const times = (await callFor(ms)).sort((a, b) => a - b)
    const at = fraction => times[Math.round(fraction * (times.length - 1))]
    return { p50: at(0.5), p99: at(0.99), worst: times.at(-1) }
  }
}
