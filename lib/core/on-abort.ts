import { VKitArgumentError } from './errors.js'

const callbacksOf = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Calls `callback` when `signal` aborts, until the returned function is called.
 *
 * It adds one listener per signal, whatever the number of waiting calls. `addEventListener` searches the existing
 * listeners, so 50,000 calls with one signal would take seconds. Node also warns of a leak from the eleventh listener
 * on.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  const callbacks = callbacksOf.get(signal) ?? listen(signal)
  callbacks.add(callback)
  return () => {
    callbacks.delete(callback)
    if (callbacks.size === 0) unlisten(signal, callbacks)
  }
}

/** It inherits nothing, because Node reads `signal` from it, and `Object.prototype` may have one. */
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
    // A custom signal that cannot remove a listener keeps one that does nothing.
  }
  if (callbacksOf.get(signal) === callbacks) callbacksOf.delete(signal)
}
