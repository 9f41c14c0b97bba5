// Measures how often four processes with a shared Redis mint the token of a user, and the cost. Needs redis-server and `dist`.
import { createClient } from '@keyv/redis'
import { GatewayEmulator } from '@video-io/videokit-nodejs/testing'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const USERS = 1_000
const WORKER = fileURLToPath(new URL('worker.mjs', import.meta.url))

const folder = mkdtempSync(path.join(os.tmpdir(), 'vkit-fleet-'))
const port = await freePort()
const server = spawn('redis-server', ['--save', '', '--port', port, '--bind', '127.0.0.1', '--dir', folder])
const url = `redis://127.0.0.1:${port}`
const redis = createClient({ url }).on('error', () => undefined)
await redis.connect()
const gateway = await new GatewayEmulator().start()

const cold = await run('4 concurrent processes, empty store', [0, 0, 0, 0])
const used = await usage()
const fresh = await run('a new process afterwards', [0])
await redis.flushAll()
const apart = await run('4 processes, one second apart, empty store', [0, 1_000, 2_000, 3_000], { everyMs: 8 })
console.table([cold, apart, fresh])
console.log(used)

await redis.close()
server.kill()
await gateway.stop()
rmSync(folder, { recursive: true, force: true })
const passed = cold['most mints per user'] <= 4 && apart['most mints per user'] === 1 && fresh.mints === 0
process.exit(passed ? 0 : 1)

/** Starts a process for each delay, and counts the requests that the gateway received. */
async function run(what, delaysMs, options = {}) {
  const before = gateway.requests.length
  const given = { redis: url, gateway: gateway.url, appSecret: gateway.appSecret, users: USERS, ...options }
  const workers = await Promise.all(delaysMs.map(() => startWorker(given)))
  const results = await Promise.all(workers.map((worker, i) => wait(delaysMs[i]).then(() => worker.go())))
  const identities = gateway.requests.slice(before).map(({ body }) => body.identity)
  const perUser = new Map()
  for (const identity of identities) perUser.set(identity, (perUser.get(identity) ?? 0) + 1)
  return {
    what,
    users: USERS,
    mints: identities.length,
    'mints per user': identities.length / USERS,
    'most mints per user': Math.max(0, ...perUser.values()),
    failures: results.reduce((sum, { failures }) => sum + failures, 0),
    'store failures': JSON.stringify(Object.assign({}, ...results.map(({ problems }) => problems))),
    ms: Math.max(...results.map(({ ms }) => ms)),
  }
}

async function startWorker(given) {
  const child = spawn(process.execPath, [WORKER, JSON.stringify(given)], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })
  await once(lines, 'line')
  return {
    go: async () => {
      child.stdin.end('go\n')
      const [line] = await once(lines, 'line')
      return JSON.parse(line)
    },
  }
}

/** Returns the bytes of one token in Redis, and the number of operations. */
async function usage() {
  const [keys, info, stats] = [await redis.dbSize(), await redis.info('memory'), await redis.info('commandstats')]
  const key = await redis.randomKey()
  const value = await redis.get(key)
  const bytes = await redis.sendCommand(['MEMORY', 'USAGE', key])
  const calls = name =>
    Number(new RegExp(`cmdstat_${name}:calls=(\\d+),usec=\\d+,usec_per_call=([\\d.]+)`).exec(stats)?.[1] ?? 0)
  return {
    keys,
    'bytes of one key and value': key.length + value.length,
    'bytes in Redis (MEMORY USAGE)': bytes,
    gets: calls('get'),
    sets: calls('set'),
    used_memory_human: /used_memory_human:(\S+)/.exec(info)?.[1],
  }
}

async function freePort() {
  const probe = net.createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  return port
}
