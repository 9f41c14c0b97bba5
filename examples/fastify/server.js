// A token endpoint with Fastify. `npm start -- fastify` runs it.
import fastify from 'fastify'
import { createTokenHandler } from '@video-io/videokit-nodejs/handlers'

/** Stands in for your own authentication, and lets everyone in; the request never chooses the user. */
async function signIn(request) {
  request.user = { id: 'END_USER_ID' }
}

/** A plugin: `app.register(tokenEndpoint, { vkit, path: '/token' })`. */
async function tokenEndpoint(app, { vkit, path }) {
  const answer = createTokenHandler(vkit, {
    authenticate: request => request.user?.id,
    onError: (error, request) => request.log.error(error),
  })
  app.all(path, (request, reply) => {
    // The handler answers by itself, with the headers that other plugins, such as CORS, have set until now.
    reply.hijack()
    for (const [name, value] of Object.entries(reply.getHeaders())) reply.raw.setHeader(name, value)
    return answer(request, reply.raw)
  })
}

export function createApp(vkit) {
  const app = fastify()
  app.decorateRequest('user', null)
  app.addHook('onRequest', signIn)
  app.get('/', async () => 'Session Service')
  app.register(tokenEndpoint, { vkit, path: '/token' })
  return app
}

export async function listen(vkit, port) {
  const app = createApp(vkit)
  // Only for this machine: without a real login anyone who reaches it gets a token.
  await app.listen({ port, host: '127.0.0.1' })
  return app.server
}
