import { VKitClient } from '@video-io/videokit-nodejs'

const vkit = new VKitClient()

/** `?user=`, with options of the call. */
export async function getToken(request) {
  const { user, ...options } = Object.fromEntries(new URL(request.url).searchParams)
  return Response.json(await vkit.getSessionToken(user, options))
}
