// One endpoint, `GET /token`, in two servers and three ways. The answer's bytes and headers are the same in all.
import http from 'node:http'

const HEADERS = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' }

/** What every endpoint must do before it hands out a token: find out who asks. */
const authenticate = request => request.headers['x-user']

/** The ways: each gives `answer(request)`, a promise of what goes out as JSON. */
const answers = {
  constant: ({ token }) => {
    const { sessionToken, expiresAt, identity } = token
    return async request => ({ sessionToken, expiresAt, identity: authenticate(request) && identity })
  },
  getSessionToken: ({ vkit }) => {
    return async request => {
      const { sessionToken, expiresAt, identity } = await vkit.getSessionToken(authenticate(request))
      return { sessionToken, expiresAt, identity }
    }
  },
}

/** The servers: each makes a request listener of an `answer`. */
const servers = {
  'node:http': async answer => async (request, response) => {
    const body = Buffer.from(JSON.stringify(await answer(request)))
    response.writeHead(200, { ...HEADERS, 'content-length': body.length }).end(body)
  },
  express: async answer => {
    const { default: express } = await import('express')
    const app = express()
    app.disable('x-powered-by')
    app.disable('etag')
    app.get('/token', async (request, response) => {
      response.set(HEADERS).json(await answer(request))
    })
    return app
  },
}

export const CONSTANT = 'constant'
export const SERVERS = Object.keys(servers)
export const ANSWERS = Object.keys(answers)

/** Starts one server's endpoints, one for each way to answer, and gives their ports by name. */
export async function startEndpoints(server, given) {
  const ports = {}
  for (const name of ANSWERS) {
    const listening = http.createServer(await servers[server](answers[name](given)))
    listening.keepAliveTimeout = 0
    await new Promise(resolve => listening.listen(0, '127.0.0.1', resolve))
    ports[name] = listening.address().port
  }
  return ports
}
