const sdk = require('@video-io/videokit-nodejs')
const useSdk = require('./use-sdk.cjs')

it('mints', () => useSdk(sdk))
