// Replaces globals in the CommonJS bundles with exports of Node's modules. In Jest's jsdom, these globals are missing or
// behave as in a browser.
import { transferableAbortController } from 'node:util'

export { clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } from 'node:timers'
export { TextDecoder, TextEncoder } from 'node:util'

/** The signals in the jsdom of Jest 29 lack `throwIfAborted`. */
const NodeAbortController =
  'throwIfAborted' in AbortSignal.prototype ? globalThis.AbortController : transferableAbortController().constructor
export { NodeAbortController as AbortController }
