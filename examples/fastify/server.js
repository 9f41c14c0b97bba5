// A token endpoint with Fastify. `npm start -- fastify` runs it.
import fastify from 'fastify'
import { createTokenHandler } from '@video-io/videokit-nodejs/handlers'

/** Stands in for your own authentication; the request does not get to choose who it is. */
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
  await app.listen({ port })
  return app.server
}
