// The same for `import`, which loads the package first. If that fails, it loads the copy made for `require`, because
// Node may cache a failed import.
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import * as sdk from '@video-io/videokit-nodejs'
import failFirstLoad from './fail-first-load.cjs'

const copy = join(dirname(createRequire(import.meta.url).resolve('@video-io/videokit-nodejs')), 'got.cjs')
await failFirstLoad(sdk, ['node_modules/got', copy])
