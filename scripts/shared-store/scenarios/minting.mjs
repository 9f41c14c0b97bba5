// One mint for a cold user, and one for a user whose token is due for refresh.
import { setTimeout as wait } from 'node:timers/promises'
import { getInAll, mintsPerUser, newUsers, settled } from '../measures.mjs'

const ONE_MINT = { 'mints a user': 1.02, 'failed calls': 0 }
const ONE_SLOW_MINT = { 'mints a user': 1.05, 'failed calls': 0 }

export const minting = {
  'cold-4x1000': { wanted: { ...ONE_MINT, 'slowest ÷ single process': 2 }, measure: fleet => cold(fleet, 4, 1_000) },
  'cold-16x250': { wanted: ONE_MINT, measure: fleet => cold(fleet, 16, 250) },
  'refresh-4x1000': { wanted: ONE_MINT, measure: fleet => refresh(fleet, 4, 1_000) },
  'refresh-16x250': { wanted: ONE_MINT, measure: fleet => refresh(fleet, 16, 250) },
  'slow-gateway-4x200': { wanted: ONE_SLOW_MINT, measure: fleet => slowGateway(fleet, 4, 200) },
  'slow-gateway-16x50': { wanted: ONE_SLOW_MINT, measure: fleet => slowGateway(fleet, 16, 50) },
  'gateway-becomes-slow-4x200': { wanted: ONE_SLOW_MINT, measure: fleet => slowGateway(fleet, 4, 200, 20) },
  'gateway-becomes-slow-16x50': { wanted: ONE_SLOW_MINT, measure: fleet => slowGateway(fleet, 16, 50, 20) },
}

async function cold({ gateway, openAll, startWorkers }, processes, count) {
  const workers = await startWorkers(processes)
  // The code of every process has run before it is measured.
  await getInAll(workers, { users: newUsers(50) })
  const [first] = workers
  await openAll([first])
  const alone = await getInAll([first], { users: newUsers(count) })
  await openAll(workers)
  const users = newUsers(count)
  const together = await getInAll(workers, { users })
  return {
    'mints a user': await mintsPerUser(gateway, users),
    'slowest ÷ single process': together.slowestMs / alone.slowestMs,
    'slowest of a single process, ms': alone.slowestMs,
    'slowest, ms': together.slowestMs,
    'failed calls': together.failures,
  }
}

async function refresh({ gateway, startWorkers }, processes, count) {
  const lifetimeMs = 60_000
  await gateway.call('set', { lifetimeMs })
  const workers = await startWorkers(processes)
  const users = newUsers(count)
  const [first, ...others] = workers
  await getInAll([first], { users })
  await settled([first])
  const mintedAt = Date.now()
  await getInAll(others, { users, concurrency: 50 })
  await settled(workers)
  await gateway.call('take')
  // All tokens are due at half of their lifetime, and no call waits for a refresh before nine tenths of it.
  await wait(mintedAt + lifetimeMs / 2 - Date.now())
  const { failures, slowestMs } = await getInAll(workers, { users })
  await settled(workers)
  return { 'mints a user': await mintsPerUser(gateway, users), 'slowest, ms': slowestMs, 'failed calls': failures }
}

/** With `measured`, each process has measured a fast gateway before it becomes slow. */
async function slowGateway({ gateway, startWorkers }, processes, count, measured = 0) {
  const workers = await startWorkers(processes)
  const mints = workers.map(worker => worker.call('get', { users: newUsers(measured) }))
  await Promise.all(mints)
  await gateway.call('set', { latencyMs: 3_000 })
  const users = newUsers(count)
  const { failures, slowestMs } = await getInAll(workers, { users })
  await settled(workers)
  return { 'mints a user': await mintsPerUser(gateway, users), 'slowest, ms': slowestMs, 'failed calls': failures }
}
