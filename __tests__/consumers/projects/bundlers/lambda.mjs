import * as sdk from '@video-io/videokit-nodejs'
import useSdk from './use-sdk.cjs'

export async function handler() {
  return { statusCode: 200, body: JSON.stringify(await useSdk(sdk)) }
}

export { sdk }
