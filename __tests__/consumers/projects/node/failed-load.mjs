// The same for `import`. Node may cache a failed import.
import { fileURLToPath } from 'node:url'
import * as sdk from '@video-io/videokit-nodejs'
import failFirstLoad from './fail-first-load.cjs'

const entry = import.meta.resolve('@video-io/videokit-nodejs')
await failFirstLoad(sdk, fileURLToPath(new URL('chunks/got.js', entry)))
