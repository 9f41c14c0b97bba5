import type { WaitUntil } from '../token/token-request.js'

/** Returns the method `waitUntil` of the last argument after the request that has one, such as the `ctx` of a worker. */
export function findWaitUntil([, ...rest]: readonly unknown[]): WaitUntil | undefined {
  const context = rest.reverse().find(hasWaitUntil)
  // As a method, because platforms reject a detached one.
  return context && (work => context.waitUntil(work))
}

function hasWaitUntil(value: unknown): value is { readonly waitUntil: WaitUntil } {
  return typeof (value as { readonly waitUntil?: unknown } | null | undefined)?.waitUntil === 'function'
}
