import { VKitError } from './vkit-error.js'

/** A function of V8, which Node and the edge runtimes have. */
type CaptureStackTrace = (target: object, method: unknown) => void

/**
 * Sets the stack of an error to begin with the line that called `method`, and returns the error.
 *
 * A mint fails far from the call that waits for it, so its stack contains only frames of this package. If the caller
 * does not await the call, its line is not known, and the stack does not change.
 */
export function fromCaller<E>(error: E, method: unknown): E {
  if (!(error instanceof VKitError)) return error
  const lines = linesFrom(method)
  // Node resumes async functions from its own loop, whose frame comes before that of the caller.
  const first = lines.findIndex(line => /^\s+at /.test(line) && !line.includes('node:internal/'))
  if (first >= 0) {
    const value = [`${error.name}: ${error.message}`, ...lines.slice(first)].join('\n')
    Reflect.defineProperty(error, 'stack', { value, configurable: true, writable: true })
  }
  return error
}

/**
 * The stack above `method`, or an empty list if a customer's `Error.prepareStackTrace` throws or does not return a
 * string.
 */
function linesFrom(method: unknown): string[] {
  try {
    const site = new Error()
    const { captureStackTrace } = Error as { readonly captureStackTrace?: CaptureStackTrace }
    captureStackTrace?.(site, method)
    return typeof site.stack === 'string' ? site.stack.split('\n') : []
  } catch {
    return []
  }
}
