// Workers to compare with. To add one, add an entry.
//
// `worker(url)` returns the code of a Worker with the client that its package's documentation shows. It responds to each
// request with what the client makes; `mints` marks those that get a token from the gateway.
export const FLOOR = 'a Worker without a package'
export const OURS = '@video-io/videokit-nodejs'
export const HAND_WRITTEN = 'fetch, by hand'

export const workers = {
  [FLOOR]: { worker: () => "export default { fetch: () => new Response('ok') }" },
  [HAND_WRITTEN]: {
    mints: true,
    worker: url => `
      export default {
        async fetch() {
          const response = await fetch('${url}/v1/sessions', {
            method: 'POST',
            headers: { authorization: 'APP_SECRET', 'content-type': 'application/json' },
            body: JSON.stringify({ identity: 'alice', scopes: [] }),
          })
          return Response.json(await response.json(), { status: response.status })
        },
      }`,
  },
  [OURS]: {
    mints: true,
    worker: url => `
      import { VKitClient } from '${OURS}'
      import { createFetchTokenHandler } from '${OURS}/handlers'
      const vkit = new VKitClient({ appSecret: 'APP_SECRET', baseUrl: '${url}' })
      export default { fetch: createFetchTokenHandler(vkit, { authenticate: () => 'alice' }) }`,
  },
  'livekit-server-sdk': {
    worker: () => `
      import { AccessToken, RoomServiceClient } from 'livekit-server-sdk'
      const rooms = new RoomServiceClient('https://example.com', 'KEY', 'APP_SECRET')
      export default {
        async fetch() {
          const token = new AccessToken('KEY', 'APP_SECRET', { identity: 'alice' })
          return new Response(rooms && (await token.toJwt()))
        },
      }`,
  },
  '@clerk/backend': {
    worker: () => `
      import { createClerkClient } from '@clerk/backend'
      const clerk = createClerkClient({ secretKey: 'APP_SECRET' })
      export default { fetch: () => new Response(typeof clerk.users.getUser) }`,
  },
}
