// A holder of a lease that dies, and a Redis in trouble.
import { setTimeout as wait } from 'node:timers/promises'
import { getInAll, mintsPerUser, newUsers, settled } from '../measures.mjs'

const MINT_MS = 50
const TROUBLE_MS = 2_000
const PROCESSES = 4
/** In each process, each of them of a user without a token. */
const CALLS_A_SECOND = 40

/**
 * A mint, one read and one lease that wait 100 ms each, the bounded wait for another process's lease, and a mint of its
 * own. The rest is for a busy machine.
 */
const SLOWEST_MS = MINT_MS + 2 * 100 + (1_500 + MINT_MS) + MINT_MS + 150

export const trouble = {
  'holder-killed': {
    wanted: { 'others have a token after, ms': 1_500 + 500, 'requests to the gateway': 2, 'failed calls': 0 },
    measure: killHolder,
  },
  'redis-killed-4x1000': {
    wanted: { 'failed calls': 0, 'mints a user, after it is back': 1.02 },
    measure: killRedis,
  },
  ...inTrouble('slow', async ({ startProxy }) => {
    const proxy = await startProxy()
    // There and back together.
    return { url: proxy.url, begin: () => proxy.delay(45), end: () => proxy.delay(0) }
  }),
  ...inTrouble('stopped', ({ redis }) => ({ begin: () => redis.pause(), end: () => redis.resume() })),
  ...inTrouble('client-pause', ({ redis }) => ({
    begin: () => redis.send('CLIENT', 'PAUSE', TROUBLE_MS + 1_000),
    end: () => wait(1_000),
  })),
  ...inTrouble('full', ({ redis }) => ({
    begin: () => redis.send('CONFIG', 'SET', 'maxmemory-policy', 'noeviction', 'maxmemory', '100kb'),
    end: () => redis.send('CONFIG', 'SET', 'maxmemory', '0'),
  })),
  ...inTrouble('read-only', ({ redis }) => ({
    begin: () => redis.send('REPLICAOF', '127.0.0.1', '1'),
    end: () => redis.send('REPLICAOF', 'NO', 'ONE'),
  })),
  ...inTrouble('restart', ({ redis }) => ({ begin: () => redis.kill(), end: () => redis.start() })),
  ...inTrouble('failover', async ({ redis, startProxy, startRedis }) => {
    const [proxy, replica] = await Promise.all([startProxy(), startRedis()])
    await replica.send('REPLICAOF', '127.0.0.1', redis.port)
    await wait(2_000)
    const promote = async () => {
      await redis.kill()
      await wait(TROUBLE_MS / 2)
      await replica.send('REPLICAOF', 'NO', 'ONE')
      proxy.redirect(replica.port)
    }
    return { url: proxy.url, begin: promote, end: () => undefined }
  }),
}

/** The process whose mint is in flight is killed, while the others wait for its token. */
async function killHolder({ gateway, startWorkers }) {
  const workers = await startWorkers(PROCESSES)
  const [holder, ...others] = workers
  await getInAll(workers, { users: newUsers(20) })
  await gateway.call('set', { latencyMs: 500 })
  // Each process has measured this gateway.
  await Promise.all(workers.map(worker => worker.call('get', { users: newUsers(20) })))
  const [user] = newUsers(1)
  await gateway.call('take')
  holder.call('get', { users: [user] }).catch(() => undefined)
  while ((await gateway.call('count', user)) === 0) await wait(5)
  const calls = others.map(worker => worker.call('get', { users: [user], details: true }))
  await wait(250)
  const killedAt = Date.now()
  await holder.kill()
  const ends = (await Promise.all(calls)).map(({ results: [result] }) => result)
  return {
    'others have a token after, ms': Math.max(...ends.map(({ endedAt }) => endedAt - killedAt)),
    'requests to the gateway': await gateway.call('count', user),
    'failed calls': ends.filter(({ error }) => error).length,
  }
}

async function killRedis(fleet) {
  const { gateway, redis, startWorkers } = fleet
  const workers = await startWorkers(PROCESSES)
  await getInAll(workers, { users: newUsers(50) })
  await gateway.call('take')
  const users = newUsers(1_000)
  const pending = getInAll(workers, { users })
  await wait(500)
  await redis.kill()
  await wait(3_000)
  await redis.start()
  const backAt = Date.now()
  const { failures, slowestMs } = await pending
  const during = await mintsPerUser(gateway, users)
  const { recoveredMs, failed } = await untilOneMint(fleet, workers, backAt)
  const fresh = newUsers(200)
  const after = await getInAll(workers, { users: fresh })
  return {
    'mints a user, Redis killed meanwhile': during,
    'slowest, ms': slowestMs,
    'mints a user, after it is back': await mintsPerUser(gateway, fresh),
    'one mint a user again after, ms': recoveredMs,
    'failed calls': failures + failed + after.failures,
  }
}

/** Calls for a few new users until each is minted once, for at most 40 s. */
async function untilOneMint({ gateway, hasLeases }, workers, backAt) {
  let failed = 0
  if (!hasLeases) return { recoveredMs: Infinity, failed }
  while (Date.now() < backAt + 40_000) {
    const users = newUsers(10)
    const startedAt = Date.now()
    failed += (await getInAll(workers, { users })).failures
    if ((await mintsPerUser(gateway, users)) === 1) return { recoveredMs: startedAt - backAt, failed }
    await wait(250)
  }
  return { recoveredMs: Infinity, failed }
}

/** All processes call at a steady rate for the same new users, from before the trouble until after it. */
function inTrouble(name, prepare) {
  return {
    [`trouble-${name}`]: {
      wanted: { 'slowest, ms': SLOWEST_MS, 'failed calls': 0 },
      measure: fleet => measureTrouble(fleet, prepare),
    },
  }
}

async function measureTrouble(fleet, prepare) {
  const { gateway, startWorkers } = fleet
  const { url, begin, end } = await prepare(fleet)
  const workers = await startWorkers(PROCESSES, url && { redis: url })
  await getInAll(workers, { users: newUsers(50) })
  await gateway.call('take')
  const everyMs = 1_000 / CALLS_A_SECOND
  const users = newUsers(((TROUBLE_MS + 1_500) / 1_000) * CALLS_A_SECOND)
  const pending = getInAll(workers, { users, everyMs })
  await wait(500)
  await begin()
  await wait(TROUBLE_MS)
  await end()
  const backAt = Date.now()
  const { failures, slowestMs } = await pending
  await settled(workers)
  const during = await mintsPerUser(gateway, users)
  const { recoveredMs, failed } = await untilOneMint(fleet, workers, backAt)
  return {
    'mints a user': during,
    'slowest, ms': slowestMs,
    'one mint a user again after, ms': recoveredMs,
    'failed calls': failures + failed,
  }
}
