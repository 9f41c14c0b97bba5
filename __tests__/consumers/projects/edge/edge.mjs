// What the drivers of the edge runtimes share: the bundle, the gateway, the HTTP store, and the checks of both.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { setImmediate } from 'node:timers/promises'
import { GatewayEmulator } from '@video-io/videokit-nodejs/testing'
import { build } from 'esbuild'

export const gateway = await new GatewayEmulator().start()
export const store = await serveTexts()

/** Bundles as wrangler 4 does, apart from `conditions`. A module of Node is an error. */
export async function bundle(contents, conditions) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: import.meta.dirname },
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2024',
    keepNames: true,
    conditions,
    define: { GATEWAY: JSON.stringify(gateway.url), STORE: JSON.stringify(store.url) },
  })
  return outputFiles[0].text
}

/** Mint, hit, herd, a failing and a silent gateway, on the Worker at `url`. */
export async function checkEssentials(url) {
  const token = await getToken(url, 'plain', 'user')
  assert.deepEqual(await getToken(url, 'plain', 'user'), token)
  assert.equal(mintsOf('user'), 1)
  assert.notEqual((await getToken(url, 'plain', 'other')).sessionToken, token.sessionToken)

  await Promise.all(Array.from({ length: 100 }, () => getToken(url, 'plain', 'herd')))
  assert(mintsOf('herd') <= 2, `${mintsOf('herd')} mints for a herd`)

  gateway.failNext({ identity: 'failing', status: 503, headers: { 'retry-after': '7' } })
  await checkFailure(url, 'failing', 'VKIT_UNAVAILABLE')
  gateway.failNext({ identity: 'silent', silence: true })
  await checkFailure(url, 'silent', 'VKIT_TIMEOUT')
}

async function checkFailure(url, user, code) {
  const response = await request(url, 'impatient', `?user=${user}`)
  assert.deepEqual([response.status, await response.json()], [503, { error: { code } }])
  assert.match(response.headers.get('retry-after'), /^\d+$/)
}

/** Rejects after a time in which each request would end, if it ends at all. */
export function request(url, client, query = '') {
  return fetch(`${url}/${client}${query}`, { signal: AbortSignal.timeout(30_000) })
}

export async function getToken(url, client, user) {
  const response = await request(url, client, `?user=${user}`)
  const token = await response.json()
  assert.equal(response.status, 200, JSON.stringify(token))
  assert.equal(token.identity, user)
  return token
}

export async function statsOf(url, client) {
  return (await request(url, client)).json()
}

export function requestsOf(user) {
  return gateway.requests.filter(({ body }) => body.identity === user)
}

export function mintsOf(user) {
  return requestsOf(user).filter(({ status }) => status === 200).length
}

/** Waits until `check` returns true, for at most as long as a request may take. */
export async function until(check) {
  const limit = AbortSignal.timeout(30_000)
  while (!(await check())) {
    if (limit.aborted) throw new Error(`It did not become true in time: ${check}`)
    await setImmediate()
  }
}

async function serveTexts() {
  const texts = new Map()
  const server = createServer(async (req, res) => {
    if (req.method === 'PUT') texts.set(req.url, await text(req))
    if (req.method === 'DELETE') texts.delete(req.url)
    res.writeHead(texts.has(req.url) ? 200 : 404).end(texts.get(req.url))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  server.unref()
  return { url: `http://127.0.0.1:${server.address().port}`, texts }
}
