// got is hidden while the first mint loads it. The next call finds it.
const { dirname, join } = require('node:path')
const failFirstLoad = require('./fail-first-load.cjs')

const copy = join(dirname(require.resolve('@video-io/videokit-nodejs')), 'got.cjs')
failFirstLoad(require('@video-io/videokit-nodejs'), [copy])
