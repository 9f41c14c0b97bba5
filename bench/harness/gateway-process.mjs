import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { TokenBucket } from './token-bucket.mjs'

const DELAYS_MS = { http: [0, 5, 20, 50, 200], https: [0, 20] }
const RATE_LIMITS = [100, 1].flatMap(capacity =>
  [undefined, 1].map(retryAfter => ({ perSecond: 100, capacity, retryAfter, delayMs: 20 })),
)
const EXPIRES_AT_MS = Math.ceil(Date.now() / 1000 + 24 * 3600) * 1000
const EXPIRES_AT = new Date(EXPIRES_AT_MS).toISOString()
const TOKEN = makeToken()
const HEADERS = { 'content-type': 'application/json' }

let requests = 0
let refused = 0

/** Creates an unsigned JWT of about 350 characters. */
function makeToken() {
  const part = value => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { iss: 'video.io', exp: EXPIRES_AT_MS / 1000, jti: randomUUID(), padding: 'x'.repeat(100) }
  return `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}.${'s'.repeat(43)}`
}

function makeListener(delayMs, bucket) {
  return (req, res) => {
    let body = ''
    req.setEncoding('utf8')
    req.on('data', chunk => (body += chunk))
    req.on('end', () => {
      requests++
      if (bucket?.take() === false) return refuse(res, bucket)
      const text = responseTo(req.url, body)
      if (delayMs === 0) send(res, text)
      else setTimeout(send, delayMs, res, text)
    })
  }
}

function responseTo(url, body) {
  // @octokit/auth-app uses the API of GitHub.
  if (url.startsWith('/app/')) return JSON.stringify({ token: TOKEN, expires_at: EXPIRES_AT, permissions: {} })
  const { identity } = JSON.parse(body)
  return `{"sessionToken":"${TOKEN}","expiresAt":"${EXPIRES_AT}","identity":${JSON.stringify(identity)}}`
}

function send(res, text) {
  res.writeHead(200, { ...HEADERS, 'content-length': text.length }).end(text)
}

function refuse(res, { retryAfter }) {
  refused++
  const headers = { ...HEADERS, ...(retryAfter && { 'retry-after': retryAfter }) }
  res.writeHead(429, headers).end('{"error":"Too many requests."}')
}

async function listen(server) {
  server.keepAliveTimeout = 0
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  return server.address().port
}

async function makeCertificate() {
  // Without TLS, the packages that we compare with need not be installed.
  const { generate } = await import('selfsigned')
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    algorithm: 'sha256',
    keySize: 2048,
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] },
    ],
  })
  const folder = mkdtempSync(path.join(tmpdir(), 'videokit-bench-'))
  process.once('exit', () => rmSync(folder, { recursive: true }))
  const caFile = path.join(folder, 'ca.pem')
  writeFileSync(caFile, cert)
  return { key, cert, caFile }
}

const tls = process.argv.includes('--tls') ? await makeCertificate() : undefined
const urls = { http: {}, https: {} }
for (const delayMs of DELAYS_MS.http) {
  urls.http[delayMs] = `http://127.0.0.1:${await listen(http.createServer(makeListener(delayMs)))}`
}
for (const delayMs of tls ? DELAYS_MS.https : []) {
  urls.https[delayMs] = `https://127.0.0.1:${await listen(https.createServer(tls, makeListener(delayMs)))}`
}
const buckets = RATE_LIMITS.map(limit => new TokenBucket(limit))
const rateLimits = []
for (const [i, { delayMs, ...limit }] of RATE_LIMITS.entries()) {
  const port = await listen(http.createServer(makeListener(delayMs, buckets[i])))
  rateLimits.push({ ...limit, url: `http://127.0.0.1:${port}` })
}

let before = process.cpuUsage()
process.on('message', () => {
  const { user, system } = process.cpuUsage(before)
  process.send({ requests, refused, cpuUs: user + system })
  before = process.cpuUsage()
  requests = refused = 0
  for (const bucket of buckets) bucket.fill()
})
process.once('disconnect', () => process.exit())
process.send({ urls, rateLimits, caFile: tls?.caFile })
