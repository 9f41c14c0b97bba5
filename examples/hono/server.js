// A token endpoint with Hono on Node; on Bun and Deno it is the same. `npm start -- hono` runs it.
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { createFetchTokenHandler } from '@video-io/videokit-nodejs/handlers'

/** Stands in for your own authentication, and lets everyone in; the request never chooses the user. */
async function signIn(c, next) {
  c.set('user', { id: 'END_USER_ID' })
  await next()
}

export function createApp(vkit) {
  const answer = createFetchTokenHandler(vkit, { authenticate: ({ user }) => user?.id })
  const app = new Hono()
  app.use(signIn)
  app.get('/', c => c.text('Session Service'))
  app.all('/token', c => answer({ method: c.req.method, signal: c.req.raw.signal, user: c.get('user') }))
  return app
}

export function listen(vkit, port) {
  // Only for this machine: without a real login anyone who reaches it gets a token.
  return serve({ fetch: createApp(vkit).fetch, port, hostname: '127.0.0.1' })
}
