// What someone who can write to Redis can cost the workers.
import { setTimeout as wait } from 'node:timers/promises'
import { createClient } from 'redis'
import { getInAll, newUsers, sum } from '../measures.mjs'
import { startPeer } from '../line-protocol.mjs'

const FLOOD = { perSecond: 5_000, durationMs: 5_000 }
const USERS = 100
const WORKERS = 2

const FLOODED = {
  'failed calls': 0,
  'requests to the gateway': 0,
  'CPU of a worker for it, s': 1.5,
  'event loop blocked, ms': 100,
}

export const hostile = {
  'flood-forged': {
    wanted: FLOODED,
    measure: fleet => flood(fleet, message => Buffer.from(message.toString().replace(/[a-z]/gi, 'x'))),
  },
  'flood-replayed': { wanted: FLOODED, measure: fleet => flood(fleet, message => message) },
  'huge-value': {
    wanted: { 'memory of a reader grew by, MiB': 16, 'event loop blocked, ms': 50, 'failed calls': 0 },
    measure: readHugeValue,
  },
}

/** Messages arrive while the workers serve hits. What they cost is compared with the same hits before. */
async function flood({ gateway, redis, startWorkers }, forge) {
  const workers = await startWorkers(WORKERS)
  const users = newUsers(USERS)
  await getInAll(workers, { users })
  await wait(500)
  const message = await realMessage(redis, workers[0])
  if (!message) return { 'channels found': 0 }
  await getInAll(workers, { users })
  await gateway.call('take')
  const quiet = await measureHits(workers, users)
  const attacker = await startPeer('attacker.mjs')
  const attack = {
    url: redis.url,
    channel: message.channel,
    message: forge(message.bytes).toString('base64'),
    ...FLOOD,
  }
  const [loud, sent] = await Promise.all([measureHits(workers, users), attacker.call('flood', attack)])
  await attacker.kill()
  const requests = await gateway.call('take')
  return {
    'messages sent a second': sent,
    'CPU of a worker for it, s': Math.max(...loud.map(({ cpuSeconds }, i) => cpuSeconds - quiet[i].cpuSeconds)),
    'event loop blocked, ms': Math.max(...loud.map(({ blockedMs }) => blockedMs)),
    'event loop blocked without it, ms': Math.max(...quiet.map(({ blockedMs }) => blockedMs)),
    'requests to the gateway': sum(Object.values(requests)),
    'failed calls': sum(loud.map(({ failures }) => failures)),
  }
}

async function measureHits(workers, users) {
  const everyMs = 5
  const calls = Array.from({ length: FLOOD.durationMs / everyMs }, (_, i) => users[i % users.length])
  return Promise.all(
    workers.map(async worker => {
      await worker.call('startMeasurement')
      const { failures } = await worker.call('get', { users: calls, everyMs })
      return { failures, ...(await worker.call('endMeasurement')) }
    }),
  )
}

/** Returns a message that a worker sends, and its channel; undefined if the workers have no channel. */
async function realMessage(redis, worker) {
  const [channel] = await redis.send('PUBSUB', 'CHANNELS')
  if (channel === undefined) return undefined
  const subscriber = createClient({ url: redis.url })
  await subscriber.connect()
  const received = new Promise(resolve => void subscriber.subscribe(channel, resolve, true))
  await wait(100)
  await worker.call('invalidate', { users: newUsers(1) })
  const bytes = await received
  subscriber.destroy()
  return { channel: String(channel), bytes }
}

async function readHugeValue({ redis, startWorkers }) {
  const [writer, reader] = await startWorkers(2)
  const users = newUsers(1)
  // The code of both has run before it is measured.
  await getInAll([writer, reader], { users: newUsers(20) })
  await wait(300)
  await redis.send('FLUSHALL')
  await getInAll([writer], { users })
  await wait(300)
  const [key] = await redis.send('KEYS', '*')
  await redis.send('SETRANGE', key, 200 * 2 ** 20, 'x')
  await reader.call('startMeasurement')
  const { failures } = await reader.call('get', { users })
  // The answer may arrive after the call has stopped waiting for it.
  await wait(2_000)
  const { blockedMs, grownMiB } = await reader.call('endMeasurement')
  return { 'memory of a reader grew by, MiB': grownMiB, 'event loop blocked, ms': blockedMs, 'failed calls': failures }
}
