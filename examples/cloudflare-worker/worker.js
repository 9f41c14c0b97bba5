// A token endpoint on Cloudflare Workers, without `nodejs_compat`: GET and POST /token.
import { env } from 'cloudflare:workers'
import { VKitClient } from '@video-io/videokit-nodejs'
import { createFetchTokenHandler } from '@video-io/videokit-nodejs/handlers'

/** Replace this with your own authentication. It accepts every request; the request must never choose the user. */
async function readUser() {
  return { id: 'END_USER_ID' }
}

// Created outside the handler, so that all requests of an isolate share one cache. The client reads the secret when it
// mints. VKIT_BASE_URL is set for the emulator only.
const vkit = new VKitClient({ appSecret: () => env.VKIT_APP_SECRET, baseUrl: env.VKIT_BASE_URL })

const respond = createFetchTokenHandler(vkit, { authenticate: async request => (await readUser(request))?.id })

export default {
  fetch(request, env, ctx) {
    const { pathname } = new URL(request.url)
    // With `ctx`, work in the background continues after the response.
    return pathname === '/token' ? respond(request, env, ctx) : new Response('Session Service')
  },
}
