// node scripts/shared-store/fleet.mjs [--store=redis|keyv] [--client=redis|redis-v5|ioredis|ioredis-v5]
//   [--engine=redis|valkey] [--only=<part of a name>] [--rounds=3] [--verbose]
//
// Measures a fleet: real processes, a real Redis, a gateway with a latency. Needs redis-server or valkey-server on PATH,
// and `npm run build`. The exit code is 1 if a row is not reached.
import { parseArgs } from 'node:util'
import { startPeer } from './line-protocol.mjs'
import { quantile } from './measures.mjs'
import { startRedis } from './redis-process.mjs'
import { cost } from './scenarios/cost.mjs'
import { hostile } from './scenarios/hostile.mjs'
import { invalidation } from './scenarios/invalidation.mjs'
import { minting } from './scenarios/minting.mjs'
import { trouble } from './scenarios/trouble.mjs'
import { startProxy } from './tcp-proxy.mjs'

const { values: args } = parseArgs({
  options: {
    store: { type: 'string', default: 'redis' },
    client: { type: 'string', default: 'redis' },
    engine: { type: 'string', default: 'redis' },
    only: { type: 'string', default: '' },
    verbose: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
  },
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
// Each server is killed when this process ends.
process.setMaxListeners(0)
const scenarios = { ...minting, ...invalidation, ...trouble, ...cost, ...hostile }
const gateway = await startPeer('gateway.mjs')
const address = await gateway.call('address')

const rows = []
for (const [name, { rounds = Number(args.rounds), measure, wanted }] of Object.entries(scenarios)) {
  if (!name.includes(args.only)) continue
  const results = []
  for (let round = 0; round < rounds; round++) results.push(await inFleet(measure))
  for (const what of Object.keys(results[0])) rows.push(rowOf(name, what, wanted, results))
  print(rows.slice(-Object.keys(results[0]).length))
}
await gateway.kill()
process.exit(rows.every(({ passed }) => passed !== false) ? 0 : 1)

/** Runs one round with servers of its own, and stops them. */
async function inFleet(measure) {
  const stops = []
  const redis = await startRedis(args.engine)
  stops.push(() => redis.stop())
  try {
    await gateway.call('set', { latencyMs: 50, lifetimeMs: 3_600_000 })
    await gateway.call('take')
    return await measure({
      redis,
      gateway,
      hasLeases: args.store !== 'keyv',
      startProxy: async () => {
        const proxy = await startProxy(redis.port)
        stops.push(() => proxy.stop())
        return proxy
      },
      startRedis: async () => {
        const other = await startRedis(args.engine)
        stops.push(() => other.stop())
        return other
      },
      /** Starts processes that have a client each. `options` are those of the client, and `redis`, the URL. */
      startWorkers: async (count, options = {}) => {
        const workers = await Promise.all(Array.from({ length: count }, () => startPeer('worker.mjs')))
        stops.push(() => Promise.all(workers.map(worker => worker.kill())))
        if (args.verbose) stops.push(() => printEvents(workers))
        await openAll(workers, { redis: redis.url, ...options })
        return workers
      },
      openAll: (workers, options) => openAll(workers, { redis: redis.url, ...options }),
    })
  } finally {
    for (const stop of stops.reverse()) await stop()
  }
}

function openAll(workers, options) {
  const { store, client } = args
  return Promise.all(workers.map(worker => worker.call('open', { store, client, ...address, ...options })))
}

/** Prints the events of the workers that are alive and that are not part of a normal call. */
async function printEvents(workers) {
  const all = await Promise.allSettled(workers.map(worker => worker.call('stats')))
  for (const { value } of all) console.error(JSON.stringify(value?.storeEvents ?? 'ended'))
}

function rowOf(scenario, what, wanted, results) {
  const values = results.map(result => result[what])
  const [low, middle, high] = [0, 0.5, 1].map(q => quantile(values, q))
  const bound = wanted[what]
  return {
    scenario,
    what,
    wanted: bound === undefined ? '' : `≤ ${bound}`,
    measured: rounded(middle),
    spread: `${rounded(low)} – ${rounded(high)}`,
    // Every round counts, not the median.
    passed: bound === undefined ? undefined : high <= bound,
  }
}

function print(rows) {
  for (const { scenario, what, wanted, measured, spread, passed } of rows) {
    const verdict = { true: 'passed', false: 'NOT REACHED' }[passed] ?? ''
    console.log(
      [
        scenario.padEnd(28),
        what.padEnd(36),
        wanted.padEnd(8),
        `${measured}`.padEnd(10),
        spread.padEnd(18),
        verdict,
      ].join(' '),
    )
  }
}

function rounded(number) {
  return Number(number.toPrecision(number < 10 ? 3 : 4))
}
