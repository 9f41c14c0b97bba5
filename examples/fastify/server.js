// A token endpoint with Fastify. Run it with `npm start -- fastify`.
import fastify from 'fastify'
import { createTokenHandler } from '@video-io/videokit-nodejs/handlers'

/** Replace this with your own authentication. It accepts every request; the request must never choose the user. */
async function signIn(request) {
  request.user = { id: 'END_USER_ID' }
}

/** A plugin: `app.register(tokenEndpoint, { vkit, path: '/token' })`. */
async function tokenEndpoint(app, { vkit, path }) {
  const respond = createTokenHandler(vkit, {
    authenticate: request => request.user?.id,
    onError: (error, request) => request.log.error(error),
  })
  app.all(path, (request, reply) => {
    // The handler sends the response itself, with the headers that other plugins, such as CORS, have set.
    reply.hijack()
    for (const [name, value] of Object.entries(reply.getHeaders())) reply.raw.setHeader(name, value)
    return respond(request, reply.raw)
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
  // Only this machine can connect: without a real login, anyone who reaches the server gets a token.
  await app.listen({ port, host: '127.0.0.1' })
  return app.server
}
