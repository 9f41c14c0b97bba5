// Compiled by `npm run typecheck`, never run: it checks how `authenticate` is typed if the app writes no type.
import express from 'express'
import fastify from 'fastify'
import http from 'node:http'
import http2 from 'node:http2'
import { createFetchTokenHandler, createTokenHandler, type TokenSource } from '../../../lib/handlers/index.js'

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

// @ts-expect-error a number is not an identity
createTokenHandler(vkit, { authenticate: () => 42 })
// @ts-expect-error false is not an identity
createFetchTokenHandler(vkit, { authenticate: () => false })
// @ts-expect-error authenticate is required
createTokenHandler(vkit, {})
// @ts-expect-error authenticate is required
createTokenHandler(vkit)
