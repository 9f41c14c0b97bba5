// got, hidden while the first mint loads it, is found by the next call.
const { dirname, join } = require('node:path')
const failFirstLoad = require('./fail-first-load.cjs')

const copy = join(dirname(require.resolve('@video-io/videokit-nodejs')), 'got.cjs')
failFirstLoad(require('@video-io/videokit-nodejs'), [copy])
