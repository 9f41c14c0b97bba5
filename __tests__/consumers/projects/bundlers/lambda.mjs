import * as sdk from '@video-io/videokit-nodejs'

const vkit = new sdk.VKitClient()

export async function handler() {
  return { statusCode: 200, body: JSON.stringify(await vkit.getSessionToken(process.env.CONSUMER)) }
}

export { sdk }
