import timers from 'node:timers'
import util from 'node:util'

/**
 * The bundles use these functions instead of the global ones, which are missing or behave as in a browser in Jest's
 * jsdom. They are read once, because Sinon's fake timers replace the members of `node:timers` too.
 */
export const { clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } = timers

/**
 * Not the global one: the signals in the jsdom of Jest 29 lack `throwIfAborted`. `util` is imported as a whole, because
 * Bun does not export this name.
 */
const NodeAbortController =
  'throwIfAborted' in AbortSignal.prototype
    ? globalThis.AbortController
    : util.transferableAbortController().constructor
export { NodeAbortController as AbortController }
