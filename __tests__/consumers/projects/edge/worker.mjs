// The Worker of all edge runtimes. GATEWAY and STORE are replaced when it is bundled.
import { VKitClient } from '@video-io/videokit-nodejs'
import { createFetchTokenHandler } from '@video-io/videokit-nodejs/handlers'
import { createHttpStore } from './http-store.mjs'

let bindings
const options = { appSecret: () => bindings.APP_SECRET, baseUrl: GATEWAY }
const clients = {
  plain: new VKitClient(options),
  impatient: new VKitClient({ ...options, timeoutMs: 300, maxRetries: 0 }),
  eager: new VKitClient({ ...options, cache: { refreshAhead: 1e-9 } }),
  shared: new VKitClient({ ...options, cache: { store: createHttpStore(STORE) } }),
}

/** `/<client>?user=` is a token endpoint, with `&detached` one without `waitUntil`. `/<client>` returns its stats. */
export default {
  async fetch(request, env, ctx) {
    const { pathname, searchParams } = new URL(request.url)
    if (pathname === '/agent') return describeAgent()
    const vkit = clients[pathname.slice(1)]
    if (!searchParams.has('user')) return Response.json(vkit.stats())
    return createFetchTokenHandler(vkit, { authenticate })(request, env, ...(searchParams.has('detached') ? [] : [ctx]))
  },
}

function authenticate(request, env) {
  bindings = env
  return new URL(request.url).searchParams.get('user')
}

function describeAgent() {
  try {
    return Response.json(new VKitClient({ ...options, agent: {} }).stats())
  } catch ({ code, message }) {
    return Response.json({ code, message })
  }
}
