const sdk = require('@video-io/videokit-nodejs')
const intercept = require('./intercept.cjs')

intercept(sdk, process.argv[2])
