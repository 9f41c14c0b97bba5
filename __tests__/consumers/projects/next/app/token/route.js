import { VKitClient } from '@video-io/videokit-nodejs'

export const dynamic = 'force-dynamic'

const vkit = new VKitClient()

export async function GET() {
  return Response.json(await vkit.getSessionToken(process.env.CONSUMER))
}
