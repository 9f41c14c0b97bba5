import { VKitArgumentError } from './errors.js'

const callbacksOf = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Calls `callback` when `signal` aborts, until the returned function is called.
 *
 * One listener a signal, however many wait on it: `addEventListener` walks the list of those before it, so that
 * 50,000 callers with one signal would take seconds, and Node warns of a leak from the eleventh on.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  const callbacks = callbacksOf.get(signal) ?? listen(signal)
  callbacks.add(callback)
  return () => {
    callbacks.delete(callback)
    if (callbacks.size === 0) unlisten(signal, callbacks)
  }
}

/** It inherits nothing: Node reads `signal` of it, which may stand on `Object.prototype`. */
const ONCE: object = Object.assign(Object.create(null) as object, { once: true })

const listeners = new WeakMap<Set<() => void>, () => void>()

function listen(signal: AbortSignal): Set<() => void> {
  const callbacks = new Set<() => void>()
  const listener = (): void => {
    for (const callback of callbacks) callback()
  }
  callbacksOf.set(signal, callbacks)
  listeners.set(callbacks, listener)
  try {
    signal.addEventListener('abort', listener, ONCE)
  } catch {
    unlisten(signal, callbacks)
    throw new VKitArgumentError('signal must be an AbortSignal: its addEventListener throws.')
  }
  return callbacks
}

function unlisten(signal: AbortSignal, callbacks: Set<() => void>): void {
  const listener = listeners.get(callbacks)
  try {
    if (listener) signal.removeEventListener('abort', listener)
  } catch {
    // A signal of another make that cannot forget a listener keeps one that calls nothing.
  }
  if (callbacksOf.get(signal) === callbacks) callbacksOf.delete(signal)
}
