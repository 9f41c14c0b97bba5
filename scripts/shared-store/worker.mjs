// One of several processes that share a store.
import { VKitClient } from '@video-io/videokit-nodejs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import { serve } from './line-protocol.mjs'
import { openStore } from './stores.mjs'

let vkit
let opened
let storeEvents = {}
let measurement
/** So that what is measured is not the reading of tokens. */
const receivedAts = new Map()

serve({ open, close, get, invalidate, watch, stats, startMeasurement, endMeasurement })

/** Creates a client with an empty cache, on a connected store. */
async function open({ store, client, redis, ...options }) {
  await close()
  opened = await openStore({ store, client, redis })
  storeEvents = {}
  vkit = new VKitClient({ ...options, cache: { ...options.cache, store: opened.store }, onEvent: countStoreEvent })
  await vkit.warmUp()
}

async function close() {
  await vkit?.close()
  await opened?.close()
  vkit = opened = undefined
}

function countStoreEvent({ type, operation, reason }) {
  if (type !== 'hit' && !/^(miss|mint|coalesced|refresh)$/.test(type)) {
    const name = [type, operation, reason].filter(Boolean).join(' ')
    storeEvents[name] = (storeEvents[name] ?? 0) + 1
  }
}

/**
 * Gets the tokens of `users` from `startAt` on: `concurrency` at a time, or with `everyMs` one after the other without
 * waiting for the one before. Returns the duration of each call, and for `details` its result.
 */
async function get({ users, startAt = 0, concurrency = users.length, everyMs = 0, details = false }) {
  await wait(Math.max(0, startAt - Date.now()))
  const results = new Array(users.length)
  let next = 0
  const run = async () => {
    while (next < users.length) {
      const index = next++
      results[index] = await timed(users[index])
    }
  }
  if (everyMs === 0) await Promise.all(Array.from({ length: Math.min(concurrency, users.length) }, run))
  else
    results.splice(
      0,
      users.length,
      ...(await Promise.all(users.map((user, i) => wait(i * everyMs).then(() => timed(user))))),
    )
  const failures = results.map(({ error }) => error).filter(Boolean)
  return {
    slowestMs: Math.max(...results.map(({ ms }) => ms)),
    failures: failures.length,
    errors: [...new Set(failures)],
    ...(details && { results }),
  }
}

async function timed(user) {
  const start = performance.now()
  const outcome = await vkit.getSessionToken(user).then(
    ({ sessionToken }) => ({ receivedAt: receivedAtOf(sessionToken) }),
    error => ({ error: `${error.code}: ${error.message}` }),
  )
  return { ms: performance.now() - start, endedAt: Date.now(), ...outcome }
}

function receivedAtOf(sessionToken) {
  let receivedAt = receivedAts.get(sessionToken)
  if (receivedAt === undefined) {
    receivedAt = JSON.parse(Buffer.from(sessionToken.split('.')[1], 'base64url')).receivedAt
    receivedAts.set(sessionToken, receivedAt)
  }
  return receivedAt
}

async function invalidate({ users, startAt = 0 }) {
  await wait(Math.max(0, startAt - Date.now()))
  const at = Date.now()
  await Promise.all(users.map(user => vkit.invalidate(user)))
  return { at, tookMs: Date.now() - at }
}

/**
 * Calls for each user every 10 ms until `untilMs`, one call at a time. Returns for each user when the last call began that
 * returned a token whose request the gateway received before the time `olderThan`.
 */
async function watch({ users, untilMs, olderThan }) {
  const lastOldAt = {}
  let failures = 0
  const pending = new Set()
  while (Date.now() < untilMs) {
    for (const user of users) {
      if (pending.has(user)) continue
      const startedAt = Date.now()
      pending.add(user)
      void timed(user).then(({ receivedAt, error }) => {
        pending.delete(user)
        if (error) failures++
        else if (receivedAt < olderThan) lastOldAt[user] = startedAt
      })
    }
    await wait(10)
  }
  return { lastOldAt, failures }
}

function stats() {
  return { ...vkit.stats(), storeEvents }
}

function startMeasurement() {
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  measurement = { delay, cpu: process.cpuUsage(), rss: process.memoryUsage.rss() }
}

function endMeasurement() {
  const { delay, cpu, rss } = measurement
  const { user, system } = process.cpuUsage(cpu)
  delay.disable()
  return {
    cpuSeconds: (user + system) / 1e6,
    blockedMs: delay.max / 1e6,
    grownMiB: Math.max(0, (process.resourceUsage().maxRSS * 1024 - rss) / 2 ** 20),
  }
}
