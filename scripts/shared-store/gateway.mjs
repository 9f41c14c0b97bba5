// The gateway, in a process of its own. Its tokens contain the time at which their request was received.
import { GatewayEmulator } from '@video-io/videokit-nodejs/testing'
import { randomBytes } from 'node:crypto'
import { serve } from './line-protocol.mjs'
import { prioritize } from './redis-process.mjs'

prioritize(process.pid)
let requests = new Map()
let latencyMs = 0

const emulator = await new GatewayEmulator({ maxRequests: 0, onRequest: respond }).start()

serve({
  address: () => ({ baseUrl: emulator.url, appSecret: emulator.appSecret }),
  set: ({ latencyMs: ms = latencyMs, lifetimeMs = emulator.lifetimeMs }) => {
    latencyMs = ms
    emulator.lifetimeMs = lifetimeMs
  },
  /** Returns the number of requests of each identity since the last `take`. */
  take: () => {
    const taken = Object.fromEntries(requests)
    requests = new Map()
    return taken
  },
  count: identity => requests.get(identity) ?? 0,
})

function respond({ body: { identity, scopes }, receivedAt }) {
  requests.set(identity, (requests.get(identity) ?? 0) + 1)
  const exp = Math.ceil((receivedAt + latencyMs + emulator.lifetimeMs) / 1_000) + 60
  const claims = { identity, scopes, role: 'session', iss: 'video.io', iat: Math.floor(receivedAt / 1_000), exp }
  return { delayMs: latencyMs, answer: { sessionToken: makeToken({ ...claims, receivedAt }) } }
}

/** A JWT whose signature is random, because no client checks it. */
function makeToken(claims) {
  const part = value => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}.${randomBytes(32).toString('base64url')}`
}
