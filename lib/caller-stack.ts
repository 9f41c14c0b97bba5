import { VKitError } from './errors.js'

/**
 * Makes the stack of an error begin with the line that called `method`, and returns the error.
 *
 * A mint fails far from the call that waits for it, so that a stack made there has only frames of ours. Where the caller
 * does not await the call, its line is not known, and the stack stays as it is.
 */
export function fromCaller<E>(error: E, method: Parameters<typeof Error.captureStackTrace>[1]): E {
  if (!(error instanceof VKitError)) return error
  const site: { stack?: unknown } = {}
  Error.captureStackTrace(site, method)
  const lines = typeof site.stack === 'string' ? site.stack.split('\n') : []
  // Node resumes us from a loop of its own, whose frame comes before that of the caller.
  const first = lines.findIndex(line => /^\s+at /.test(line) && !line.includes('node:internal/'))
  if (first >= 0) {
    const value = [`${error.name}: ${error.message}`, ...lines.slice(first)].join('\n')
    Object.defineProperty(error, 'stack', { value, configurable: true, writable: true })
  }
  return error
}
