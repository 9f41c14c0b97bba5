import util from 'node:util'

/**
 * The bundles use it instead of the global one: the signals in the jsdom of Jest 29 lack `throwIfAborted`. `util` is
 * imported as a whole, because Bun does not export this name.
 */
const NodeAbortController =
  'throwIfAborted' in AbortSignal.prototype
    ? globalThis.AbortController
    : util.transferableAbortController().constructor
export { NodeAbortController as AbortController }
