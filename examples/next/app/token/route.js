// A token endpoint as a Next route handler: GET and POST /token. Next responds to other methods with 405.
import { VKitClient } from '@video-io/videokit-nodejs'
import { createFetchTokenHandler } from '@video-io/videokit-nodejs/handlers'
import { readUser } from '../../session.js'

const vkit = new VKitClient()

export const GET = createFetchTokenHandler(vkit, { authenticate: async request => (await readUser(request))?.id })
export const POST = GET
export const dynamic = 'force-dynamic'
