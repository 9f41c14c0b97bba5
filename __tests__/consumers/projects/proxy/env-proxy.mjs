// Node's own proxy support: with NODE_USE_ENV_PROXY=1 or --use-env-proxy the client uses HTTPS_PROXY, for https only.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { promisify } from 'node:util'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { assertNoSecret, GatewayEmulator } from '@video-io/videokit-nodejs/testing'
import { makeCertificate, startProxy } from './servers.mjs'

const USE = { NODE_USE_ENV_PROXY: '1' }
const PASSWORD = 'pa55word-of-the-proxy'
const MINTED = ['warm', 'first', 'second']

// The names exist only for the proxy.
const certificate = makeCertificate(['gateway.invalid', 'localhost'])
writeFileSync('ca.pem', certificate.cert)
const gateway = await new GatewayEmulator({ tls: certificate }).start()
const plain = await new GatewayEmulator().start()
const proxy = await startProxy()
const port = new URL(gateway.url).port
const through = `http://user:${PASSWORD}@127.0.0.1:${proxy.port}`

/** Runs call.mjs, or vkit, with a new proxy log. Checks that nothing shows a secret. */
async function call(env, { flags = [], script = ['call.mjs'], signal } = {}) {
  Object.assign(proxy, { heard: '', connects: [] })
  const all = {
    PATH: process.env.PATH,
    NODE_EXTRA_CA_CERTS: path.resolve('ca.pem'),
    VKIT_APP_SECRET: gateway.appSecret,
    VKIT_BASE_URL: `https://gateway.invalid:${port}`,
    HTTPS_PROXY: through,
    ...env,
  }
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [...flags, ...script], {
    env: all,
    timeout: 60_000,
    signal,
  })
  assertNoSecret(proxy.heard, gateway.appSecret)
  for (const output of [stdout, stderr]) {
    assertNoSecret(output, gateway.appSecret)
    assertNoSecret(output, PASSWORD)
    assert(!output.includes(Buffer.from(`user:${PASSWORD}`).toString('base64')))
  }
  return JSON.parse(stdout)
}

/** Checks the failure of all three calls. */
async function fails(env, expected) {
  const sent = gateway.requests.length
  for (const { everything, ...failure } of await call({ ...USE, ...env })) {
    assert.deepEqual({ ...failure, ...expected }, failure, everything)
    assert(!everything.includes('127.0.0.1'), everything)
  }
  assert.equal(gateway.requests.length, sent)
}

// Each way to tell Node to use the proxy. All three calls share one connection.
for (const [env, flags] of [
  [USE, []],
  [{}, ['--use-env-proxy']],
  [{ NODE_OPTIONS: '--use-env-proxy' }, []],
  [{ ...USE, HTTPS_PROXY: '', https_proxy: through }, []],
]) {
  assert.deepEqual(await call(env, { flags }), MINTED)
  assert.deepEqual(proxy.connects, [`gateway.invalid:${port}`])
  assert.match(proxy.heard, /proxy-authorization,Basic /)
  assert.doesNotMatch(proxy.heard, /authorization,Bearer|identity/)
}

// The variable alone, or a Node that was told otherwise, uses no proxy.
for (const [env, flags] of [
  [{}, []],
  [{ NODE_USE_ENV_PROXY: '0' }, []],
  [USE, ['--no-use-env-proxy']],
]) {
  for (const { code, cause } of await call(env, { flags })) {
    assert.equal(code, 'VKIT_CONNECTION')
    assert.match(cause, /^(ENOTFOUND|EAI_AGAIN)$/)
  }
  assert.deepEqual(proxy.connects, [])
}

// Directly to the hosts of NO_PROXY, and over http, which is for loopback hosts.
assert.deepEqual(await call({ ...USE, VKIT_BASE_URL: `https://localhost:${port}` }), MINTED)
assert.deepEqual(proxy.connects, [`localhost:${port}`])
const bypass = { ...USE, NO_PROXY: 'localhost', VKIT_BASE_URL: `https://localhost:${port}` }
assert.deepEqual(await call(bypass), MINTED)
assert.equal(proxy.heard, '')
const http = { ...USE, HTTP_PROXY: through, VKIT_APP_SECRET: plain.appSecret, VKIT_BASE_URL: plain.url }
assert.deepEqual(await call(http), MINTED)
assert.equal(proxy.heard, '')

// The certificate of the gateway is checked, whatever Node's default is.
await fails({ NODE_EXTRA_CA_CERTS: '', NODE_TLS_REJECT_UNAUTHORIZED: '0' }, { code: 'VKIT_TLS', retryable: false })
await fails(
  { VKIT_BASE_URL: `https://another.invalid:${port}` },
  { code: 'VKIT_TLS', cause: 'ERR_TLS_CERT_ALTNAME_INVALID' },
)

// vkit uses the same way.
const doctor = { script: ['node_modules/@video-io/videokit-nodejs/dist/cli/vkit.js', 'doctor', '--json'] }
const findings = await call(USE, doctor)
assert.deepEqual(
  findings.map(({ check, severity }) => `${check} ${severity}`),
  [
    'node ok',
    'proxy ok',
    'exposure ok',
    'secret ok',
    'settings ok',
    'dns note',
    'tls ok',
    'gateway ok',
    'clock ok',
    'mint ok',
  ],
)
assert.equal(proxy.connects.length, 3)

// Without a proxy for https, it checks the direct connection.
const direct = { ...USE, HTTPS_PROXY: '', VKIT_BASE_URL: `https://localhost:${port}` }
assert.equal((await call(direct, doctor)).find(({ check }) => check === 'dns').severity, 'ok')
assert.deepEqual(proxy.connects, [])

// A proxy that refuses, that is silent, or that is down.
const place = `https://gateway.invalid:${port}/v1/sessions`
for (const [status, retryable] of [
  [407, false],
  [502, true],
]) {
  proxy.refusal = `HTTP/1.1 ${status} Refused\r\nContent-Length: 0\r\n\r\n`
  await fails(
    {},
    {
      code: 'VKIT_CONNECTION',
      cause: 'ERR_PROXY_TUNNEL',
      retryable,
      message: `The proxy in HTTPS_PROXY refused the connection to ${place} (${status}).`,
    },
  )
  assert.equal(proxy.connects.length, 3)
}
proxy.refusal = ''
await fails({ CALL_OPTIONS: '{"timeoutMs":300}' }, { code: 'VKIT_TIMEOUT', retryable: true })
proxy.refusal = 'no HTTP\r\n\r\n'
await fails({}, { message: 'The connection to the proxy in HTTPS_PROXY failed (ERR_PROXY_TUNNEL).', retryable: true })
proxy.refusal = undefined

// A silent gateway behind the proxy: no connection stays open, though the process lives on.
const silent = net.createServer(socket => socket.resume().on('error', () => undefined)).listen(0, '127.0.0.1')
await once(silent, 'listening')
const stopped = new AbortController()
const connected = new Set(proxy.sockets)
const options = {
  CALL_OPTIONS: '{"timeoutMs":300}',
  IS_KEPT_ALIVE: '1',
  VKIT_BASE_URL: `https://gateway.invalid:${silent.address().port}`,
}
const results = call({ ...USE, ...options }, { signal: stopped.signal }).catch(({ name }) => name)
while (proxy.connects.length < 3) await once(proxy.server, 'connect')
const open = [...proxy.sockets].filter(socket => !connected.has(socket) && !socket.closed)
await Promise.all(open.map(socket => once(socket, 'close')))
stopped.abort()
assert.equal(await results, 'AbortError')
silent.close()
await fails(
  { HTTPS_PROXY: `http://user:${PASSWORD}@127.0.0.1:1` },
  {
    code: 'VKIT_CONNECTION',
    cause: 'ECONNREFUSED',
    retryable: true,
    message: 'The connection to the proxy in HTTPS_PROXY failed (ECONNREFUSED).',
  },
)
// Node would not start with this one, and Node 22 reads the variables only at its start.
if (!process.version.startsWith('v22.'))
  await fails({ LATE_HTTPS_PROXY: `http://user:${PASSWORD}@[` }, { code: 'VKIT_CONFIG', retryable: false })

await gateway.stop()
await plain.stop()
proxy.stop()
