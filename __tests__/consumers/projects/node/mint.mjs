import * as sdk from '@video-io/videokit-nodejs'
import useSdk from './use-sdk.cjs'

await useSdk(sdk)
