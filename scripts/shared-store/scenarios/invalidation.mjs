// How long processes still serve a token that one of them invalidated. A token is old if the gateway received its request
// before the call of `invalidate`; a call counts if it began after it.
import { setTimeout as wait } from 'node:timers/promises'
import { getInAll, newUsers, quantile, sum } from '../measures.mjs'

const PROCESSES = 16
const BATCHES = 6
const USERS = 5
const PARTITION_MS = 5_000

const AFTER_PARTITION = { 'old token served after it is back, ms': 600, 'failed calls': 0 }

export const invalidation = {
  'invalidate-16': {
    wanted: { 'old token served for, ms (p99)': 100, 'processes that serve it after 100 ms': 0, 'failed calls': 0 },
    measure: invalidateDuringMint,
  },
  'invalidate-partition-held': {
    wanted: AFTER_PARTITION,
    measure: fleet => invalidateDuringPartition(fleet, ['hold', 'release']),
  },
  'invalidate-partition-cut': {
    wanted: AFTER_PARTITION,
    measure: fleet => invalidateDuringPartition(fleet, ['down', 'up']),
  },
  'invalidate-subscription-cut': {
    wanted: AFTER_PARTITION,
    measure: fleet => invalidateDuringPartition(fleet, ['subscribersDown', 'subscribersUp']),
  },
}

/** All have the token; in one a refresh of it is in flight, and another one invalidates it. */
async function invalidateDuringMint({ gateway, openAll, startWorkers }) {
  await gateway.call('set', { lifetimeMs: 60_000 })
  const workers = await startWorkers(PROCESSES)
  const [caller, ...others] = workers
  const refreshing = others.at(-1)
  await openAll([refreshing], { cache: { refreshAhead: 0.01 } })
  const results = []
  const durations = []
  for (let batch = 0; batch < BATCHES; batch++) {
    await gateway.call('set', { latencyMs: 50 })
    const users = newUsers(USERS)
    await getInAll([caller], { users })
    await wait(300)
    await getInAll(others, { users })
    // Now the tokens are due in that one process.
    await wait(700)
    await gateway.call('set', { latencyMs: 1_000 })
    await refreshing.call('get', { users })
    const startAt = Date.now() + 300
    const [{ at, tookMs }, ...watched] = await Promise.all([
      caller.call('invalidate', { users, startAt }),
      ...others.map(worker => worker.call('watch', { users, olderThan: startAt, untilMs: startAt + 2_500 })),
    ])
    durations.push(tookMs)
    for (const { lastOldAt, failures } of watched)
      results.push({ failures, staleMs: users.map(user => Math.max(0, (lastOldAt[user] ?? 0) - at)) })
  }
  const staleMs = results.flatMap(result => result.staleMs)
  const slow = results.filter(result => Math.max(...result.staleMs) > 100)
  return {
    'old token served for, ms (p50)': quantile(staleMs, 0.5),
    'old token served for, ms (p99)': quantile(staleMs, 0.99),
    'processes that serve it after 100 ms': slow.length / BATCHES,
    'slowest call of invalidate, ms': Math.max(...durations),
    'failed calls': sum(results.map(({ failures }) => failures)),
  }
}

/** One process cannot reach Redis for a while, in the middle of which another one invalidates tokens that both have. */
async function invalidateDuringPartition({ openAll, startProxy, startWorkers }, [begin, end]) {
  const proxy = await startProxy()
  const [caller, apart] = await startWorkers(2)
  await openAll([apart], { redis: proxy.url })
  const users = newUsers(USERS)
  await getInAll([caller], { users })
  await wait(300)
  await getInAll([apart], { users })
  await wait(1_000)
  proxy[begin]()
  const startAt = Date.now() + PARTITION_MS / 5
  const backAt = startAt + (PARTITION_MS * 4) / 5
  const untilMs = backAt + 10_000
  const [, { lastOldAt, failures }] = await Promise.all([
    caller.call('invalidate', { users, startAt }),
    apart.call('watch', { users, olderThan: startAt, untilMs }),
    wait(backAt - Date.now()).then(() => proxy[end]()),
  ])
  const last = Math.max(0, ...Object.values(lastOldAt))
  return { 'old token served after it is back, ms': Math.max(0, last - backAt), 'failed calls': failures }
}
