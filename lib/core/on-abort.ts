import { VKitArgumentError } from './errors.js'

/** The waiting calls of one signal, and its listener. */
interface Waiting {
  readonly callbacks: Set<() => void>
  readonly listener: () => void
}

const waitingOf = new WeakMap<AbortSignal, Waiting>()

/**
 * Calls `callback` when `signal` aborts, until the returned function is called.
 *
 * It adds one listener per signal, whatever the number of waiting calls. `addEventListener` searches the existing
 * listeners, so 50,000 calls with one signal would take seconds. Node also warns of a leak from the eleventh listener
 * on.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  const waiting = waitingOf.get(signal) ?? listen(signal)
  waiting.callbacks.add(callback)
  return () => {
    waiting.callbacks.delete(callback)
    if (waiting.callbacks.size === 0) unlisten(signal, waiting)
  }
}

/** It inherits nothing, because Node reads `signal` from it, and `Object.prototype` may have one. */
const ONCE: object = Object.assign(Object.create(null) as object, { once: true })

function listen(signal: AbortSignal): Waiting {
  const callbacks = new Set<() => void>()
  const listener = (): void => {
    for (const callback of callbacks) callback()
  }
  const waiting = { callbacks, listener }
  try {
    signal.addEventListener('abort', listener, ONCE)
  } catch {
    throw new VKitArgumentError('signal must be an AbortSignal: its addEventListener throws.')
  }
  waitingOf.set(signal, waiting)
  return waiting
}

function unlisten(signal: AbortSignal, waiting: Waiting): void {
  try {
    signal.removeEventListener('abort', waiting.listener)
  } catch {
    // A custom signal that cannot remove a listener keeps one that does nothing.
  }
  if (waitingOf.get(signal) === waiting) waitingOf.delete(signal)
}
