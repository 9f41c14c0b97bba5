import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { VKitClient } from '@video-io/videokit-nodejs'
import { startEndpoints } from '../competitors/endpoints.mjs'

const LOAD = fileURLToPath(new URL('../harness/load-process.mjs', import.meta.url))
const USER = 'END_USER_ID'
const WARM_UP = 15_000

/**
 * All endpoints of one server run in one process, because two processes with the same code differ more than the endpoints.
 */
export async function setUp(server, { url, appSecret }) {
  const vkit = new VKitClient({ appSecret, baseUrl: url })
  const token = await vkit.getSessionToken(USER)
  const ports = await startEndpoints(server, { vkit, token })
  const load = fork(LOAD, [USER], { execArgv: [] })
  const run = (endpoint, requests) =>
    new Promise((resolve, reject) => {
      load.once('message', ({ error, ms }) => (error ? reject(new Error(error)) : resolve(ms)))
      load.send({ port: ports[endpoint], requests })
    })
  for (const endpoint of Object.keys(ports)) await run(endpoint, WARM_UP)

  return async ({ endpoint, requests }) => {
    const cpu = process.cpuUsage()
    const ms = await run(endpoint, requests)
    const { user, system } = process.cpuUsage(cpu)
    return { cpuUs: (user + system) / requests, rate: (requests / ms) * 1e3 }
  }
}
