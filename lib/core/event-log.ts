import type { VKitEvent } from './events.js'
import { logName } from './log-line.js'

/** What an event may contain: its own words and an ID. A token is longer, and an identity or other text has no room. */
const SAFE = /^[\w.:-]{1,64}$/
const REDACTED = '[redacted]'

/**
 * Returns the line for an event: `2030-01-01T12:00:00.000Z videokit[4711] mint durationMs=84 attempts=1`.
 *
 * It has all members of the event; a text that is not a short word is redacted.
 */
export function formatEvent(event: VKitEvent, nowMs: number): string {
  const { type, ...members } = event
  const pairs = Object.entries(members as Record<string, unknown>)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${formatValue(value)}`)
  return [new Date(nowMs).toISOString(), logName(), type, ...pairs].join(' ')
}

function formatValue(value: unknown): string {
  if (typeof value === 'number') return String(Math.round(value * 10) / 10)
  if (typeof value === 'boolean') return String(value)
  return typeof value === 'string' && SAFE.test(value) ? value : REDACTED
}
