// What the CommonJS bundles take from Node's modules where the code says a global: Jest's jsdom has none of these, or
// a browser's.
import { transferableAbortController } from 'node:util'

export { clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } from 'node:timers'
export { TextDecoder, TextEncoder } from 'node:util'

/** The jsdom of Jest 29 has one without `throwIfAborted`. */
const NodeAbortController =
  'throwIfAborted' in AbortSignal.prototype ? globalThis.AbortController : transferableAbortController().constructor
export { NodeAbortController as AbortController }
