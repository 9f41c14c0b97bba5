// got is hidden while the first mint loads it. The next call finds it.
const { dirname, join } = require('node:path')
const failFirstLoad = require('./fail-first-load.cjs')

const entry = require.resolve('@video-io/videokit-nodejs')
failFirstLoad(require('@video-io/videokit-nodejs'), join(dirname(entry), 'chunks/got.cjs'))
