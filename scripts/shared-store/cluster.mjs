// Tries createRedisStore once with a cluster of three servers on this machine, and prints what passed. Needs redis-server
// and `dist`.
import { createRedisStore } from '@video-io/videokit-nodejs/redis'
import { Cluster } from 'ioredis'
import { Cluster as Cluster5 } from 'ioredis-v5'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { createClient, createCluster } from 'redis'
import { createCluster as createCluster5 } from 'redis-v5'

const SLOTS = 16_384
const KEYS = Array.from({ length: 100 }, (_, i) => `vkit:1:cluster:${i}`)
const CHANNEL = 'vkit:1:cluster'

const folder = mkdtempSync(path.join(os.tmpdir(), 'vkit-cluster-'))
const ports = [await freePort(), await freePort(), await freePort()]
const servers = ports.map(startServer)
const nodes = await Promise.all(ports.map(connectNode))
await formCluster()

const url = `redis://127.0.0.1:${ports[0]}`
const ofNodeRedis = create => async () => {
  const client = await create({ rootNodes: [{ url }] })
    .on('error', () => undefined)
    .connect()
  return [client, () => client.destroy()]
}
const ofIoredis = Client => async () => {
  const client = new Client([url], { lazyConnect: true }).on('error', () => undefined)
  await client.connect()
  return [client, () => client.disconnect()]
}
const clients = {
  'node-redis 6': ofNodeRedis(createCluster),
  'node-redis 5': ofNodeRedis(createCluster5),
  'ioredis 6': ofIoredis(Cluster),
  'ioredis 5': ofIoredis(Cluster5),
}

const rows = []
for (const [client, connect] of Object.entries(clients)) rows.push({ client, ...(await tryClient(connect)) })
console.table(rows)

for (const node of nodes) node.destroy()
for (const server of servers) server.kill('SIGKILL')
rmSync(folder, { recursive: true, force: true })
process.exit(rows.every(row => Object.values(row).every(Boolean)) ? 0 : 1)

async function tryClient(connect) {
  for (const node of nodes) await node.sendCommand(['FLUSHALL'])
  const [client, close] = await connect()
  const store = createRedisStore(client)
  const messages = []
  let losses = 0
  const listener = { onMessage: message => messages.push(message), onLost: () => losses++ }
  const subscriptions = await Promise.all(Array.from({ length: 6 }, () => store.subscribe(CHANNEL, listener)))
  const pings = await Promise.allSettled(subscriptions.map(subscription => subscription.ping()))
  const take = (key, holder) => store.acquireLease(key, holder, 60_000)

  const records = await all(async key => (await store.set(key, key, 60_000), (await store.get(key)) === key))
  const leases = await all(async key => (await take(key, 'a')) && !(await take(key, 'b')) && (await take(key, 'a')))
  const slots = await all(async key => (await slotOf(key)) === (await slotOf(`{${key}}:lease`)))
  const sizes = await Promise.all(nodes.map(node => node.sendCommand(['DBSIZE'])))
  const freed = await all(async key => (await store.releaseLease(key, 'a'), take(key, 'b')))
  // Through each node, because a publisher may be connected to any.
  for (const node of nodes) await node.publish(CHANNEL, 'text')
  await store.publish(CHANNEL, 'text')
  const arrived = await becomesTrue(() => messages.length === (nodes.length + 1) * subscriptions.length)
  for (const node of nodes) await node.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub'])
  const lost = await becomesTrue(() => losses === subscriptions.length)
  const again = await store.subscribe(CHANNEL, listener)
  again.close()
  close()
  return {
    records,
    leases,
    'lease in the slot of its record': slots,
    'keys on all nodes': sizes.every(size => size > 20),
    'lease freed': freed,
    pings: pings.every(({ status }) => status === 'fulfilled'),
    messages: arrived,
    'lost once each': lost,
  }
}

async function all(check) {
  return (await Promise.all(KEYS.map(check))).every(Boolean)
}

async function becomesTrue(condition) {
  for (let i = 0; i < 250 && !condition(); i++) await wait(20)
  // Longer, to see whether there are too many.
  await wait(100)
  return condition()
}

function slotOf(key) {
  return nodes[0].sendCommand(['CLUSTER', 'KEYSLOT', key])
}

function startServer(port) {
  const files = ['--dir', folder, '--cluster-config-file', `${port}.conf`, '--save', '', '--appendonly', 'no']
  const args = ['--port', String(port), '--cluster-port', String(port + 10_000), '--cluster-enabled', 'yes', ...files]
  return spawn('redis-server', [...args, '--bind', '127.0.0.1'], { stdio: 'ignore' })
}

function connectNode(port) {
  const url = `redis://127.0.0.1:${port}`
  return createClient({ url, socket: { reconnectStrategy: 20 } })
    .on('error', () => undefined)
    .connect()
}

async function formCluster() {
  const starts = nodes.map((_, i) => Math.floor((i * SLOTS) / nodes.length))
  for (const [i, node] of nodes.entries()) {
    await node.sendCommand(['CLUSTER', 'ADDSLOTSRANGE', String(starts[i]), String((starts[i + 1] ?? SLOTS) - 1)])
    const meet = ['CLUSTER', 'MEET', '127.0.0.1', String(ports[0]), String(ports[0] + 10_000)]
    if (i > 0) await node.sendCommand(meet)
  }
  for (const node of nodes) {
    const isReady = text => text.includes('cluster_state:ok') && text.includes(`cluster_known_nodes:${nodes.length}`)
    while (!isReady(await node.sendCommand(['CLUSTER', 'INFO']))) await wait(50)
  }
}

/** A port below 40,000, because the nodes also use the port that is 10,000 higher. */
async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 20_000)
    const server = net.createServer()
    const isFree = await new Promise(resolve => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true))
    })
    server.close()
    if (isFree) return port
  }
}
