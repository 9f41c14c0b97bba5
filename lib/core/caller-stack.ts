import { VKitError } from './vkit-error.js'

/**
 * Makes the stack of an error begin with the line that called `method`, and returns the error.
 *
 * A mint fails far from the call that waits for it, so that a stack made there has only frames of ours. Where the caller
 * does not await the call, its line is not known, and the stack stays as it is.
 */
export function fromCaller<E>(error: E, method: Parameters<typeof Error.captureStackTrace>[1]): E {
  if (!(error instanceof VKitError)) return error
  const lines = linesFrom(method)
  // Node resumes us from a loop of its own, whose frame comes before that of the caller.
  const first = lines.findIndex(line => /^\s+at /.test(line) && !line.includes('node:internal/'))
  if (first >= 0) {
    const value = [`${error.name}: ${error.message}`, ...lines.slice(first)].join('\n')
    Reflect.defineProperty(error, 'stack', { value, configurable: true, writable: true })
  }
  return error
}

/** The stack above `method`; nothing where a customer's `Error.prepareStackTrace` throws or gives no text. */
function linesFrom(method: Parameters<typeof Error.captureStackTrace>[1]): string[] {
  try {
    const site = new Error()
    Error.captureStackTrace(site, method)
    return typeof site.stack === 'string' ? site.stack.split('\n') : []
  } catch {
    return []
  }
}
