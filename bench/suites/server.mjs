import { WAYS, CONSTANT, SERVERS } from '../competitors/endpoints.mjs'
import { withCandidates } from '../harness/rounds.mjs'
import { compare } from '../harness/stats.mjs'
import { number, percent, times } from '../report/format.mjs'

const WORKER = new URL('../workers/server.mjs', import.meta.url)
const GOAL = 1.05

export const title = 'An endpoint'
export const about = `\`GET /token\` on 32 connections, the token in the cache: CPU time of the server's process a request, against the same endpoint
answering a constant, byte for byte the same.`

export async function measure({ gateway, quick, note }) {
  const context = { url: gateway.urls.http[0], appSecret: 'APP_SECRET' }
  const rounds = quick ? 5 : 15
  const data = {}
  for (const server of SERVERS) {
    note(server)
    data[server] = await withCandidates([{ worker: WORKER, name: server, context }], async ([process]) => {
      const samples = Object.fromEntries(WAYS.map(name => [name, []]))
      for (let round = 0; round < rounds; round++) {
        for (const endpoint of round % 2 ? WAYS : WAYS.toReversed()) {
          samples[endpoint].push(await process.sample({ endpoint, requests: quick ? 3_000 : 6_000 }))
        }
      }
      return { cpuUs: compare(samples, CONSTANT, 'cpuUs'), rate: compare(samples, CONSTANT, 'rate') }
    })
  }
  return { rounds, servers: data }
}

export function tables({ servers }) {
  const rows = Object.entries(servers).flatMap(([server, { cpuUs, rate }]) =>
    WAYS.map(name => [
      `${server}, ${name}`,
      number(cpuUs[name].median),
      percent(cpuUs[name].spread),
      times(cpuUs[name].ratio),
      number(rate[name].median),
    ]),
  )
  const ours = rows.map(([name]) => name).filter(name => !name.endsWith(`, ${CONSTANT}`))
  return [{ head: ['', 'CPU µs', '±', '× constant', 'per s'], rows, ours }]
}

const WHY = {
  getSessionToken: `a hit reads two clocks, and its code is not as hot in a server as in a loop; of a request that does anything else it is
a small part`,
  createTokenHandler: `each request has an AbortController, so that a client who hangs up is not waited for, and its method, user and
headers checked`,
}

export function goals({ servers }) {
  return Object.entries(servers).flatMap(([server, { cpuUs }]) =>
    WAYS.filter(name => name !== CONSTANT).map(name => ({
      goal: `${server}, ${name}: within 5 % of the constant`,
      saw: times(cpuUs[name].ratio),
      reached: cpuUs[name].ratio <= GOAL,
      why: WHY[name],
    })),
  )
}
