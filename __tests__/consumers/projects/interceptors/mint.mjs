import * as sdk from '@video-io/videokit-nodejs'
import intercept from './intercept.cjs'

await intercept(sdk, process.argv[2])
