// What a user costs in Redis.
import { setTimeout as wait } from 'node:timers/promises'
import { getInAll, newUsers, settled, sum } from '../measures.mjs'
import { commandCounts } from '../redis-process.mjs'

const USERS = 200

export const cost = { cost: { rounds: 1, wanted: {}, measure: measureCost } }

async function measureCost({ gateway, openAll, redis, startWorkers }) {
  await gateway.call('set', { lifetimeMs: 120_000 })
  const [minting, reading] = await startWorkers(2)
  await openAll([minting], { cache: { refreshAhead: 0.01 } })
  await getInAll([minting, reading], { users: newUsers(20), concurrency: 4 })
  await settled([minting])
  await redis.send('FLUSHALL')
  const users = newUsers(USERS)
  const during = async step => {
    const before = await commandCounts(redis)
    await step()
    return difference(before, await commandCounts(redis))
  }
  const call = worker => async () => {
    await getInAll([worker], { users, concurrency: 4 })
    await settled([worker])
  }
  const mint = await during(call(minting))
  const bytes = await bytesOfAllKeys(redis)
  const hit = await during(call(reading))
  await wait(2_000)
  const refresh = await during(call(minting))
  return {
    'bytes a user (MEMORY USAGE)': bytes / USERS,
    ...named('cold user', mint),
    ...named('refresh', refresh),
    ...named('token from the store', hit),
  }
}

/** Counts all keys, so that a lease that was not released is part of it. */
async function bytesOfAllKeys(redis) {
  const keys = await redis.send('KEYS', '*')
  return sum(await Promise.all(keys.map(key => redis.send('MEMORY', 'USAGE', key))))
}

function difference(before, after) {
  const counts = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)])
  return Object.fromEntries(counts.filter(([, count]) => count > 0))
}

/** Scripts count as what they call, too. */
function named(what, counts) {
  const perUser = Object.entries(counts).map(([name, count]) => [`commands of a ${what}: ${name}`, count / USERS])
  return Object.fromEntries([[`commands of a ${what}`, sum(perUser.map(([, count]) => count))], ...perUser])
}
