import type { Clock } from '../core/clock.js'
import { formatEvent } from '../core/event-log.js'
import type { VKitEvent, VKitEventListener, VKitEventType } from '../core/events.js'
import { writeLine } from '../core/log-line.js'
import { nearestName } from '../core/nearest-name.js'

const EVENTS = new Set<string>([
  'hit',
  'miss',
  'coalesced',
  'refresh',
  'mint',
  'retry',
  'resend',
  'failure',
  'served-while-failing',
  'short-lived',
  'unreadable-expiry',
  'expiry-mismatch',
  'clock-skew',
  'eviction',
  'invalidation',
  'invalidation-sent',
  'invalidation-received',
  'secret-rotation',
  'key-backoff',
  'secret-backoff',
  'overload',
  'circuit-open',
  'circuit-close',
  'store-failure',
  'store-pause',
  'store-resume',
  'store-hit',
  'lease-taken',
  'lease-wait',
  'lease-timeout',
  'lease-pause',
  'subscription-start',
  'subscription-loss',
] satisfies VKitEventType[])
const ALL = new Set(['1', 'true', '*'])
const NONE = new Set(['', '0', 'false'])

/**
 * Returns a listener that writes the events of `VKIT_DEBUG` to standard error, and then calls `onEvent`; without such
 * events, `onEvent` itself.
 *
 * `1`, `true` or `*` means all events, and otherwise a comma-separated list of their types. Unknown ones cause one warning.
 */
export function withDebugLog(
  setting: string | undefined,
  onEvent: VKitEventListener | undefined,
  clock: Clock,
): VKitEventListener | undefined {
  const names = (setting ?? '').split(',').map(name => name.trim().toLowerCase())
  const isAll = names.some(name => ALL.has(name))
  const unknown = names.filter(name => !ALL.has(name) && !NONE.has(name) && !EVENTS.has(name))
  if (unknown.length > 0) writeLine(unknownEvents(unknown))
  const types = isAll ? EVENTS : new Set(names.filter(name => EVENTS.has(name)))
  if (types.size === 0) return onEvent
  return event => {
    if (types.has(event.type)) log(event, clock)
    // Returned, because the caller handles the rejection of an async listener.
    return onEvent?.(event)
  }
}

function log(event: VKitEvent, clock: Clock): void {
  try {
    writeLine(formatEvent(event, clock.now()))
  } catch {
    // The caller's clock may return any number.
  }
}

function unknownEvents(names: readonly string[]): string {
  // A longer text may be a secret in the wrong variable.
  const shown = names
    .filter(name => /^[\w-]{1,32}$/.test(name))
    .map(name => {
      const nearest = nearestName(name, EVENTS)
      return nearest === undefined ? name : `${name} (did you mean ${nearest}?)`
    })
  const list = shown.length > 0 ? `: ${shown.join(', ')}` : ''
  return `videokit: VKIT_DEBUG contains unknown events${list}. Use 1 for all events, or a list such as mint,retry,failure.`
}
