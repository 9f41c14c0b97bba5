import type { Clock } from './clock.js'

/** The same moment on both clocks, in milliseconds. */
export interface Instant {
  readonly wall: number
  readonly monotonic: number
}

/** Now, on both clocks. */
export function instant(clock: Clock): Instant {
  return { wall: clock.now(), monotonic: clock.monotonic() }
}

/** `ms` milliseconds after `start`. */
export function later(start: Instant, ms: number): Instant {
  return { wall: start.wall + ms, monotonic: start.monotonic + ms }
}

/** Whether both clocks say so. */
export function isBefore(now: Instant, moment: Instant): boolean {
  return now.wall < moment.wall && now.monotonic < moment.monotonic
}

/** How long it is until `end`, by the more pessimistic of the clocks; negative where it is over. */
export function untilMs(end: Instant, now: Instant): number {
  return Math.min(end.wall - now.wall, end.monotonic - now.monotonic)
}

/** From when, and for how long, a token is valid, in our own time. */
export interface Lifetime {
  readonly start: Instant
  readonly ms: number
}

/** How long a token is still valid, by the more pessimistic of the clocks; negative where it has expired. */
export function remainingMs({ start, ms }: Lifetime, now: Instant): number {
  return untilMs(later(start, ms), now)
}
