import * as sdk from '@video-io/videokit-nodejs'
import useSdk from './use-sdk.cjs'

useSdk(sdk)
