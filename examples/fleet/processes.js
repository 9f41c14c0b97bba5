// Two processes share their tokens through Redis. Run it with `npm start -- fleet`. It uses the Redis of REDIS_URL, or
// starts a redis-server of its own.
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { createClient } from 'redis'

export async function run(_vkit, [identity = 'alice']) {
  const redis = process.env.REDIS_URL ? { url: process.env.REDIS_URL } : await startRedis()
  const processes = []
  try {
    for (let i = 0; i < 2; i++) processes.push(startProcess({ REDIS_URL: redis.url }))
    await show(processes, identity)
  } finally {
    await Promise.all(processes.map(({ end }) => end()))
    await redis.end?.()
  }
}

async function show(processes, identity) {
  const [one, two] = processes
  const inBoth = method => Promise.all(processes.map(({ call }) => call(method, identity)))
  const mints = async () => (await inBoth('mints')).reduce((sum, count) => sum + count)

  const first = await inBoth('getToken')
  console.log(`Both processes needed a token for ${identity} at the same time.`)
  console.log(`  mints: ${await mints()}, same token: ${first[0] === first[1]}`)

  await inBoth('untilSubscribed')
  await one.call('invalidate', identity)
  await two.call('untilInvalidated')
  console.log('Process 1 called invalidate. Process 2 has removed the token from its memory.')

  const second = await inBoth('getToken')
  console.log('Both processes needed a token again.')
  console.log(`  mints: ${await mints()}, same token: ${second[0] === second[1]}, new: ${second[0] !== first[0]}`)
}

function startProcess(env) {
  const child = fork(new URL('process.js', import.meta.url), { env: { ...process.env, ...env } })
  const exited = once(child, 'exit')
  return {
    async call(method, identity) {
      child.send({ method, identity })
      const [{ result }] = await Promise.race([once(child, 'message'), exited.then(fail, fail)])
      return result
    },
    async end() {
      if (child.connected) child.disconnect()
      await exited
    },
  }
}

function fail() {
  throw new Error('A process ended with an error.')
}

async function startRedis() {
  const port = await freePort()
  const args = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
  const child = spawn('redis-server', args, { stdio: 'ignore' })
  const exited = once(child, 'exit')
  await Promise.race([once(child, 'spawn'), exited]).catch(() => {
    throw new Error('The fleet example needs redis-server on PATH, or the URL of a Redis in REDIS_URL.')
  })
  const url = `redis://127.0.0.1:${port}`
  // The client connects again until the server is ready.
  const probe = createClient({ url }).on('error', () => undefined)
  await Promise.race([probe.connect(), exited.then(fail)])
  probe.destroy()
  return { url, end: () => (child.kill(), exited) }
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}
