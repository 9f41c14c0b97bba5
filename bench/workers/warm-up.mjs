import { VKitClient } from '@video-io/videokit-nodejs'
import { costOf } from '../harness/cost.mjs'
import { median } from '../harness/stats.mjs'

const LATER = 20

/** Times the first mint of a client that this new process made, and the later ones. */
export async function setUp(name, { url, appSecret, warmUp }) {
  const vkit = new VKitClient({ appSecret, baseUrl: url })
  if (warmUp) await vkit.warmUp()
  return async () => {
    const times = []
    for (let i = 0; i <= LATER; i++) times.push((await costOf(() => vkit.getSessionToken(`user-${i}`))).ms)
    const [first, ...later] = times
    return { first, later: median(later) }
  }
}
