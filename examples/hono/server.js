// A token endpoint with Hono on Node, the same as on Bun and Deno. Run it with `npm start -- hono`.
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { createFetchTokenHandler } from '@video-io/videokit-nodejs/handlers'

/** Replace this with your own authentication. It accepts every request; the request must never choose the user. */
async function signIn(c, next) {
  c.set('user', { id: 'END_USER_ID' })
  await next()
}

export function createApp(vkit) {
  const respond = createFetchTokenHandler(vkit, { authenticate: ({ user }) => user?.id })
  const app = new Hono()
  app.use(signIn)
  app.get('/', c => c.text('Session Service'))
  app.all('/token', c => respond({ method: c.req.method, signal: c.req.raw.signal, user: c.get('user') }))
  return app
}

export function listen(vkit, port) {
  // Only this machine can connect: without a real login, anyone who reaches the server gets a token.
  return serve({ fetch: createApp(vkit).fetch, port, hostname: '127.0.0.1' })
}
