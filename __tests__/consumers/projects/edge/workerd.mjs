// workerd.mjs <compatibility date> [<compatibility flag>...]: serves the Worker with the runtime of Cloudflare. Two
// services are two isolates.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { VKitClient } from '@video-io/videokit-nodejs'
import { assertNoSecret } from '@video-io/videokit-nodejs/testing'
import * as edge from './edge.mjs'
import { createHttpStore } from './http-store.mjs'

const [compatibilityDate, ...compatibilityFlags] = process.argv.slice(2)
const WORKERD = 'node_modules/@cloudflare/workerd-linux-64/bin/workerd'
const { gateway, store, getToken, statsOf, mintsOf, until } = edge

await writeFile(
  'worker.js',
  await edge.bundle(`export { default } from './worker.mjs'`, ['workerd', 'worker', 'browser']),
)
await writeFile('config.capnp', config(['first', 'second']))
const workerd = spawn(WORKERD, ['serve', 'config.capnp', '--control-fd=3'], {
  stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
})
process.on('SIGTERM', () => process.exit(1))
// At SIGTERM it would wait for its connections.
process.on('exit', () => workerd.kill('SIGKILL'))
const [first, second] = await listening(2)
await edge.checkEssentials(first)
await checkAbandonedLeader(first, { user: 'completed', fault: { delayMs: 1_000 }, attempts: 1 })
await checkAbandonedLeader(first, { user: 'cancelled', query: '&detached', fault: { silence: true }, attempts: 2 })
await checkBackgroundRefresh(first)
await checkSharedStore(first, second)
const { code, message } = await (await edge.request(first, 'agent')).json()
assert.equal(code, 'VKIT_CONFIG')
assert.match(message, /agent.*sockets/)
process.exit()

/** The client of the first call of a user disconnects while the gateway is slow. The others get their token all the same. */
async function checkAbandonedLeader(url, { user, query = '', fault, attempts }) {
  gateway.failNext({ identity: user, ...fault })
  const leader = connect(new URL(url).port, '127.0.0.1')
  leader.write(`GET /plain?user=${user}${query} HTTP/1.1\r\nhost: worker\r\n\r\n`)
  await until(() => edge.requestsOf(user).length === 1)
  const { coalesced } = await statsOf(url, 'plain')
  const joiners = Array.from({ length: 20 }, () => getToken(url, 'plain', user))
  await until(async () => (await statsOf(url, 'plain')).coalesced === coalesced + joiners.length)
  // workerd cancels the request of a client that resets its connection, not of one that only ends it.
  leader.resetAndDestroy()
  await Promise.all([...joiners, getToken(url, 'plain', user)])
  assert.deepEqual([edge.requestsOf(user).length, mintsOf(user)], [attempts, 1])
}

/** The response does not wait for the refresh, which then completes nevertheless. */
async function checkBackgroundRefresh(url) {
  const old = await getToken(url, 'eager', 'refreshed')
  gateway.failNext({ identity: 'refreshed', delayMs: 300 })
  assert.deepEqual(await getToken(url, 'eager', 'refreshed'), old)
  assert.equal(mintsOf('refreshed'), 1)
  await until(async () => (await statsOf(url, 'eager')).mints === 2)
  assert.notDeepEqual(await getToken(url, 'eager', 'refreshed'), old)
}

/** What one isolate or Node stores, the other isolate, Node or Worker reads. */
async function checkSharedStore(first, second) {
  const options = { appSecret: gateway.appSecret, baseUrl: gateway.url, cache: { store: createHttpStore(store.url) } }
  const vkit = new VKitClient(options)
  const mintInNode = user => vkit.getSessionToken(user)
  const mintIn = url => user => getToken(url, 'shared', user)

  const tokens = [
    await checkShared('of-a-worker', mintIn(first), [mintIn(second), mintInNode]),
    await checkShared('of-node', mintInNode, [mintIn(first), mintIn(second)]),
  ]
  for (const { sessionToken } of tokens) {
    assertNoSecret(store.texts, sessionToken)
    assertNoSecret(store.texts, sessionToken.split('.')[1])
  }
}

async function checkShared(user, mint, readers) {
  const { size } = store.texts
  const token = await mint(user)
  await until(() => store.texts.size > size)
  for (const read of readers) assert.equal((await read(user)).sessionToken, token.sessionToken)
  assert.equal(mintsOf(user), 1)
  return token
}

function config(names) {
  return `using Workerd = import "/workerd/workerd.capnp";
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "${compatibilityDate}",
  compatibilityFlags = ${JSON.stringify(compatibilityFlags)},
  bindings = [(name = "APP_SECRET", text = "${gateway.appSecret}")],
);
const config :Workerd.Config = (
  services = [
    ${names.map(name => `(name = "${name}", worker = .worker),`).join('\n    ')}
    (name = "internet", network = (allow = ["local"])),
  ],
  sockets = [
    ${names.map(name => `(name = "${name}", address = "127.0.0.1:0", http = (), service = "${name}"),`).join('\n    ')}
  ],
);
`
}

/** Returns the URLs of the sockets, when workerd listens at all of them. */
async function listening(count) {
  const urls = []
  for await (const line of createInterface({ input: workerd.stdio[3] })) {
    const { event, port } = JSON.parse(line)
    if (event === 'listen') urls.push(`http://127.0.0.1:${port}`)
    if (urls.length === count) return urls
  }
  throw new Error('workerd ended')
}
