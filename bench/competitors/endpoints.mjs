// One endpoint, `GET /token`, in two servers and three ways. The responses differ only in the order of headers.
import http from 'node:http'

const HEADERS = {
  'cache-control': 'private, no-store',
  'x-content-type-options': 'nosniff',
  'content-type': 'application/json',
}

/** Returns the user of a request, which every token endpoint must find out. */
const authenticate = request => request.headers['x-user']

/** Creates an endpoint that calls `getToken(identity)`, without the handler of the package. */
const byHand = getToken => async (request, response) => {
  const { sessionToken, expiresAt, identity } = await getToken(authenticate(request))
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
  response.end(JSON.stringify({ sessionToken, expiresAt, identity }))
}

const ways = {
  constant: async ({ token }) => byHand(async () => token),
  getSessionToken: async ({ vkit }) => byHand(identity => vkit.getSessionToken(identity)),
  createTokenHandler: async ({ vkit }) => {
    const { createTokenHandler } = await import('@video-io/videokit-nodejs/handlers')
    return createTokenHandler(vkit, { authenticate })
  },
}

const servers = {
  'node:http': async handler => handler,
  express: async handler => {
    const { default: express } = await import('express')
    return express().disable('x-powered-by').get('/token', handler)
  },
}

export const CONSTANT = 'constant'
export const SERVERS = Object.keys(servers)
export const WAYS = Object.keys(ways)

/** Starts the endpoints of one server, one for each way, and returns their ports by name. */
export async function startEndpoints(server, given) {
  const ports = {}
  for (const way of WAYS) {
    const listening = http.createServer(await servers[server](await ways[way](given)))
    listening.keepAliveTimeout = 0
    await new Promise(resolve => listening.listen(0, '127.0.0.1', resolve))
    ports[way] = listening.address().port
  }
  return ports
}
