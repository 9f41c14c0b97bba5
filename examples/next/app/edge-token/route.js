// The same token endpoint in the Edge runtime: GET and POST /edge-token. Next 16 still has that runtime, but has deprecated
// it: prefer app/token/route.js in a new app.
import { VKitClient } from '@video-io/videokit-nodejs'
import { createFetchTokenHandler } from '@video-io/videokit-nodejs/handlers'
import { readUser } from '../../session.js'

const vkit = new VKitClient()

export const GET = createFetchTokenHandler(vkit, { authenticate: async request => (await readUser(request))?.id })
export const POST = GET
export const dynamic = 'force-dynamic'
export const runtime = 'edge'
