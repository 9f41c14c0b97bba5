import express, { type ErrorRequestHandler } from 'express'
import fastify from 'fastify'
import { once } from 'node:events'
import http from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import {
  createFetchTokenHandler,
  createTokenHandler,
  type EndUser,
  type TokenHandlerOptions,
  type TokenSource,
} from '../../../lib/handlers/index.js'

/** The endpoint that a test needs, described the same way for every framework. */
export interface Setup {
  readonly vkit: TokenSource
  readonly authenticate: (authorization: string | undefined) => EndUser | Promise<EndUser>
  readonly options?: Pick<TokenHandlerOptions<never>, 'scopes' | 'expiresIn' | 'clock'>
  readonly onError: (error: unknown) => void
  /** The framework's own error hook, for handlers that use one. */
  readonly appHook: (error: unknown) => void
}

export interface Call {
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly signal?: AbortSignal
}

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly text: string
}

export interface RunningServer {
  readonly send: (call?: Call) => Promise<Reply>
  readonly stop: () => Promise<void>
}

export interface Server {
  readonly name: string
  /** Whether an error from `authenticate` goes to the framework as well as to `onError`. */
  readonly hasAppHook: boolean
  readonly start: (setup: Setup) => Promise<RunningServer>
}

const require = createRequire(import.meta.url)
/** Express 4 includes no types. Those of Express 5 fit what the tests use. */
const express4 = require('express4') as typeof express
/** Hono's types cannot be compiled without the types of the DOM. */
const { Hono } = require('hono') as { Hono: new () => HonoApp }
const { serve } = require('@hono/node-server') as {
  serve: (options: { fetch: HonoApp['fetch']; port: number; hostname: string }) => http.Server
}

interface HonoApp {
  all(path: string, handler: (c: { readonly req: { readonly raw: Request } }) => Promise<Response>): unknown
  readonly fetch: (request: Request) => Promise<Response>
}

export const SERVERS: readonly Server[] = [
  { name: 'Express 4', hasAppHook: true, start: setup => startExpress(express4, setup) },
  { name: 'Express 5', hasAppHook: true, start: setup => startExpress(express, setup) },
  { name: 'Fastify', hasAppHook: false, start: startFastify },
  { name: 'Hono on Node', hasAppHook: false, start: startHono },
  { name: 'node:http', hasAppHook: false, start: startHttp },
  { name: 'a bare fetch handler', hasAppHook: false, start: startFetch },
]

function optionsOf<Req>(setup: Setup, headerOf: (request: Req) => string | undefined): TokenHandlerOptions<Req> {
  const { authenticate, options, onError } = setup
  return { ...options, authenticate: request => authenticate(headerOf(request)), onError }
}

async function startExpress(framework: typeof express, setup: Setup): Promise<RunningServer> {
  const app = framework()
  app.all(
    '/token',
    createTokenHandler(
      setup.vkit,
      optionsOf<express.Request>(setup, req => req.headers.authorization),
    ),
  )
  const errorHook: ErrorRequestHandler = (error, _req, res, next) => {
    if (res.headersSent) return next(error)
    setup.appHook(error)
    res.status(500).setHeader('content-type', 'application/json').end('{"error":{"code":"FROM_THE_APP"}}')
  }
  app.use(errorHook)
  return overHttp(http.createServer(app).listen(0, '127.0.0.1'))
}

async function startFastify(setup: Setup): Promise<RunningServer> {
  const app = fastify()
  const handler = createTokenHandler(
    setup.vkit,
    optionsOf<fastify.FastifyRequest>(setup, request => request.headers.authorization),
  )
  app.all('/token', (request, reply) => {
    reply.hijack()
    return handler(request, reply.raw)
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { ...(await overHttp(app.server)), stop: () => app.close() }
}

async function startHono(setup: Setup): Promise<RunningServer> {
  const app = new Hono()
  const handler = createFetchTokenHandler(setup.vkit, optionsOf<Request>(setup, authorizationOf))
  app.all('/token', c => handler(c.req.raw))
  return overHttp(serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }))
}

async function startHttp(setup: Setup): Promise<RunningServer> {
  const handler = createTokenHandler(
    setup.vkit,
    optionsOf<http.IncomingMessage>(setup, req => req.headers.authorization),
  )
  return overHttp(http.createServer((req, res) => void handler(req, res)).listen(0, '127.0.0.1'))
}

async function startFetch(setup: Setup): Promise<RunningServer> {
  const handler = createFetchTokenHandler(setup.vkit, optionsOf<Request>(setup, authorizationOf))
  const send = async ({ path = '/token', signal, ...init }: Call = {}): Promise<Reply> => {
    const request = new Request(`http://localhost${path}`, signal ? { ...init, signal } : init)
    const response = await handler(request)
    signal?.throwIfAborted()
    return { status: response.status, headers: Object.fromEntries(response.headers), text: await response.text() }
  }
  return { send, stop: () => Promise.resolve() }
}

function authorizationOf(request: Request): string | undefined {
  return request.headers.get('authorization') ?? undefined
}

async function overHttp(server: http.Server): Promise<RunningServer> {
  if (!server.listening) await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    send: call => sendOverHttp(port, call),
    stop: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

async function sendOverHttp(port: number, { path = '/token', body, ...init }: Call = {}): Promise<Reply> {
  // Each request has its own connection, so it does not wait for another response.
  const request = http.request({ ...init, path, host: '127.0.0.1', port, agent: false }).end(body)
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
  return {
    status: response.statusCode ?? 0,
    headers: response.headers as Reply['headers'],
    text: Buffer.concat(chunks).toString(),
  }
}
