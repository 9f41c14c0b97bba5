// Compiled by `npm run typecheck`, never run: it checks how `authenticate` is typed if the app writes no type, and what
// can take the place of a client.
import { jest } from '@jest/globals'
import express from 'express'
import fastify from 'fastify'
import http from 'node:http'
import http2 from 'node:http2'
import {
  createFetchTokenHandler,
  createTokenHandler,
  type FetchRequest,
  type FetchTokenHandler,
  type TokenHandlerOptions,
  type TokenSource,
} from '../../../lib/handlers/index.js'
import type { SessionToken, VKitClient } from '../../../lib/index.js'

declare const vkit: TokenSource

declare global {
  // Apps extend the request in this way, as do the types of passport, express-session and cookie-parser.
  // eslint-disable-next-line @typescript-eslint/no-namespace
  namespace Express {
    interface Request {
      endUser?: { readonly id: string }
    }
  }
}

const app = express()
app.all('/token', createTokenHandler(vkit, { authenticate: req => req.endUser?.id }))
app.use('/token', createTokenHandler(vkit, { authenticate: async req => Promise.resolve(req.endUser?.id ?? null) }))
app.get('/token', createTokenHandler(vkit, { authenticate: (req: express.Request) => req.ip }))
app.get('/token', createTokenHandler<express.Request>(vkit, { authenticate: req => req.ip }))

const handler = createTokenHandler(vkit, { authenticate: req => req.headers.cookie })
http.createServer((req, res) => void handler(req, res))
http2.createServer((req, res) => void handler(req, res))

fastify().all('/token', (request, reply) => {
  reply.hijack()
  const onFastify = createTokenHandler(vkit, { authenticate: (req: typeof request) => req.hostname })
  return onFastify(request, reply.raw)
})

/** A Next route handler. */
export const GET: (request: Request) => Promise<Response> = createFetchTokenHandler(vkit, {
  authenticate: request => request.headers.get('x-user'),
  scopes: ['videos.read'],
})

const forOwnRequestType = createFetchTokenHandler(vkit, {
  authenticate: ({ user }: { method: string; user: { id: string } }) => ({
    identity: user.id,
    scopes: ['videos.read'],
  }),
})
void forOwnRequestType({ method: 'GET', user: { id: '1' } })

interface Env {
  readonly SESSIONS: { readonly get: (cookie: string) => Promise<string | null> }
}
/** The entry point of a worker, as its platform declares it. */
interface WorkerModule {
  fetch: (request: Request, env: Env, ctx: { waitUntil: (work: Promise<unknown>) => void }) => Promise<Response>
}
const forWorker = createFetchTokenHandler(vkit, {
  authenticate: (request: Request, env: Env) => env.SESSIONS.get(request.headers.get('cookie') ?? ''),
})
declare const ctx: Parameters<WorkerModule['fetch']>[2]
declare const env: Env
export const workers: WorkerModule[] = [
  { fetch: forWorker },
  { fetch: async (request, env, ctx) => forWorker(request, env, ctx) },
  { fetch: createFetchTokenHandler(vkit, { authenticate: request => request.headers.get('x-user') }) },
]
void createFetchTokenHandler(vkit, { authenticate: () => 'user' })(new Request('http://localhost'), env, ctx)
void createFetchTokenHandler<FetchRequest>(vkit, { authenticate: (_, env) => (env === undefined ? null : 'user') })
// @ts-expect-error authenticate needs env
void forWorker(new Request('http://localhost'))
// @ts-expect-error not an Env
void forWorker(new Request('http://localhost'), {})

const options: TokenHandlerOptions<Request> = { authenticate: request => request.headers.get('x-user') }
export const anyFetch: FetchTokenHandler<Request> = createFetchTokenHandler(vkit, options)

// @ts-expect-error a number is not an identity
createTokenHandler(vkit, { authenticate: () => 42 })
// @ts-expect-error false is not an identity
createFetchTokenHandler(vkit, { authenticate: () => false })
// @ts-expect-error authenticate is required
createTokenHandler(vkit, {})
// @ts-expect-error authenticate is required
createTokenHandler(vkit)

const token: SessionToken = { sessionToken: 'T', expiresAt: '2030-01-01T00:00:00Z', identity: 'user', scopes: [] }
declare const client: VKitClient

class Tenant implements TokenSource {
  async getSessionToken(identity: string): Promise<SessionToken> {
    return client.getSessionToken(`tenant-1/${identity}`)
  }
}

/** What an app may pass instead of a client. */
const sources: TokenSource[] = [
  client,
  new Tenant(),
  { getSessionToken: async () => Promise.resolve(token) },
  { getSessionToken: async identity => Promise.resolve({ ...token, identity: identity.trim() }) },
  { getSessionToken: async (identity: string, options?: object) => client.getSessionToken(identity, options) },
  { getSessionToken: async (identity: string, scopes?: string[]) => client.getSessionToken(identity, scopes) },
  { getSessionToken: jest.fn(async () => Promise.resolve(token)) },
  { getSessionToken: jest.fn<TokenSource['getSessionToken']>().mockResolvedValue(token) },
  { getSessionToken: jest.fn<VKitClient['getSessionToken']>().mockRejectedValue(new Error('down')) },
]
for (const source of sources) {
  void source.getSessionToken('user')
  void source.getSessionToken('user', ['videos.read'])
  void source.getSessionToken('user', { scopes: ['videos.read'], deadlineMs: 1_000 })
}
const stub = { getSessionToken: async () => Promise.resolve({ ...token, more: true }) }
createTokenHandler(stub, { authenticate: () => 'user' })
createFetchTokenHandler(stub, { authenticate: () => 'user', expiresIn: true })

// @ts-expect-error callers may use then and catch
createTokenHandler({ getSessionToken: () => token }, { authenticate: () => 'user' })
// @ts-expect-error not a token
createTokenHandler({ getSessionToken: async () => Promise.resolve('T') }, { authenticate: () => 'user' })
// @ts-expect-error an identity is a string
void sources[0]?.getSessionToken(1)
