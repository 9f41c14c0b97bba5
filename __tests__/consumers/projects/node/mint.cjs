const useSdk = require('./use-sdk.cjs')
const sdk = require('@video-io/videokit-nodejs')

useSdk(sdk)
