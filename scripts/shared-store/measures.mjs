// What the scenarios share.
import { setTimeout as wait } from 'node:timers/promises'

let prefixes = 0

/** Returns identities that no scenario has used before. */
export function newUsers(count) {
  const prefix = prefixes++
  return Array.from({ length: count }, (_, i) => `user-${prefix}-${i}`)
}

/** All workers get the tokens of `users`, at the same time. */
export async function getInAll(workers, options) {
  const startAt = Date.now() + 100
  const results = await Promise.all(workers.map(worker => worker.call('get', { startAt, ...options })))
  for (const error of new Set(results.flatMap(({ errors }) => errors))) console.error(error)
  return {
    slowestMs: Math.max(...results.map(({ slowestMs }) => slowestMs)),
    failures: sum(results.map(({ failures }) => failures)),
  }
}

/** Returns the number of requests for each of `users` that the gateway received since the last `take`. */
export async function mintsPerUser(gateway, users) {
  const requests = await gateway.call('take')
  return sum(users.map(user => requests[user] ?? 0)) / users.length
}

/** Resolves when no worker has a flight, and writes have had the time to arrive. */
export async function settled(workers, timeoutMs = 30_000) {
  const until = Date.now() + timeoutMs
  const isBusy = ({ inFlight }) => inFlight > 0
  do await wait(100)
  while ((await Promise.all(workers.map(worker => worker.call('stats')))).some(isBusy) && Date.now() < until)
  await wait(200)
}

export function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0)
}

export function quantile(numbers, q) {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]
}
