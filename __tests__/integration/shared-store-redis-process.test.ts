import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { build } from 'esbuild'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describeWith } from '../support/needs.js'
import { redisOnPath, startRedis, type Server } from '../support/servers.js'

/** How to create a client that is not connected, and how to close it. */
const clients = {
  'node-redis 6': [`require('redis').createClient({ url })`, 'client.destroy()'],
  'node-redis 5': [`require('redis-v5').createClient({ url })`, 'client.destroy()'],
  'ioredis 6': [`new (require('ioredis').Redis)(url, { lazyConnect: true })`, 'client.disconnect()'],
  'ioredis 5': [`new (require('ioredis-v5').Redis)(url, { lazyConnect: true })`, 'client.disconnect()'],
}

describe.each(Object.entries(clients))('a process with a store on %s', (_name, [create = '', close = '']) => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'vkit-redis-process-'))
    const outfile = path.join(folder, 'redis.mjs')
    await build({ entryPoints: ['lib/store/redis/index.ts'], outfile, bundle: true, platform: 'node', format: 'esm' })
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  /** Runs a script in its own process until it ends by itself. */
  async function run(url: string, script: string): Promise<{ code: unknown; out: string }> {
    const file = path.join(folder, 'script.mjs')
    await writeFile(
      file,
      `import { createRequire } from 'node:module'
       import { createRedisStore } from './redis.mjs'
       const require = createRequire(${JSON.stringify(path.resolve('package.json'))})
       const url = ${JSON.stringify(url)}
       const client = ${create}.on('error', () => undefined)
       const close = () => ${close}
       const store = createRedisStore(client)
       const subscribe = onLost => store.subscribe('vkit:1:channel', { onMessage: () => undefined, onLost })
       ${script}`,
    )
    const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'], timeout: 20_000 })
    const chunks: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => void chunks.push(chunk))
    const [code] = (await once(child, 'close')) as [unknown]
    return { code, out: Buffer.concat(chunks).toString().trim() }
  }

  it('ends while the subscription waits for a server that does not respond', async () => {
    const server = net.createServer(socket => socket.on('error', () => undefined).resume()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `redis://127.0.0.1:${(server.address() as net.AddressInfo).port}`
    const script = `subscribe().then(console.log, console.log); console.log('waits')`
    expect(await run(url, script)).toEqual({ code: 0, out: 'waits' })
    server.close()
  })

  describeWith(redisOnPath, 'and a real Redis', () => {
    let server: Server
    beforeAll(async () => void (server = await startRedis()), 60_000)
    afterAll(() => server.stop(), 60_000)

    it('ends while it is subscribed', async () => {
      const script = `await client.connect(); await subscribe(); console.log('subscribed'); close()`
      expect(await run(server.url, script)).toEqual({ code: 0, out: 'subscribed' })
    })

    it('has no timer left after it lost the subscription', async () => {
      const script = `
        await client.connect()
        const killer = await require('redis').createClient({ url }).connect()
        await new Promise((resolve, reject) => {
          subscribe(resolve).then(() => killer.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub'])).catch(reject)
        })
        killer.destroy()
        // A timer of 0 ms is over after two turns.
        await new Promise(resolve => setTimeout(() => setTimeout(resolve)))
        await new Promise(resolve => setImmediate(resolve))
        console.log(process.getActiveResourcesInfo().filter(name => name === 'Timeout'))
        close()`
      expect(await run(server.url, script)).toEqual({ code: 0, out: '[]' })
    })
  })
})
