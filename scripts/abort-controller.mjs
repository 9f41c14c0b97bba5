import { transferableAbortController } from 'node:util'

/** The bundles use it instead of the global one: the signals in the jsdom of Jest 29 lack `throwIfAborted`. */
const NodeAbortController =
  'throwIfAborted' in AbortSignal.prototype ? globalThis.AbortController : transferableAbortController().constructor
export { NodeAbortController as AbortController }
