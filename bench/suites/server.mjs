import { WAYS, CONSTANT, SERVERS } from '../competitors/endpoints.mjs'
import { withCandidates } from '../harness/rounds.mjs'
import { compare } from '../harness/stats.mjs'
import { number, percent, ratioOf, times } from '../report/format.mjs'

const WORKER = new URL('../workers/server.mjs', import.meta.url)
const GOALS = { getSessionToken: 1.05, createTokenHandler: 1.15 }

export const title = 'A token endpoint'
export const about = `\`GET /token\` on 32 connections, with a cached token. The time is the CPU time of the server's process per request, compared
with an endpoint that returns the same bytes as a constant.`

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
  getSessionToken: `a hit reads two clocks, and V8 optimizes its code less in a server than in a loop. In a request that does other work, it is
a small part`,
  createTokenHandler: 'for each request, the handler checks the method, the user and the headers',
}

export function goals({ servers }) {
  return Object.entries(servers).flatMap(([server, { cpuUs }]) =>
    Object.entries(GOALS).map(([name, goal]) => ({
      goal: `${server}, ${name}: at most ${times(goal)} the constant`,
      saw: ratioOf(cpuUs[name]),
      reached: cpuUs[name].ratio <= goal,
      why: WHY[name],
    })),
  )
}
