import type { Clock } from './clock.js'

/** The same time on both clocks, in milliseconds. */
export interface Instant {
  readonly wall: number
  readonly monotonic: number
}

/** The current time on both clocks. */
export function instant(clock: Clock): Instant {
  return { wall: clock.now(), monotonic: clock.monotonic() }
}

/** `ms` milliseconds after `start`. */
export function later(start: Instant, ms: number): Instant {
  return { wall: start.wall + ms, monotonic: start.monotonic + ms }
}

/** Whether it is before by both clocks. */
export function isBefore(now: Instant, moment: Instant): boolean {
  return now.wall < moment.wall && now.monotonic < moment.monotonic
}

/** The milliseconds until `end`, by the clock with less time left; negative if it has passed. */
export function untilMs(end: Instant, now: Instant): number {
  return Math.min(end.wall - now.wall, end.monotonic - now.monotonic)
}

/** The start and the length of a token's validity, by the local clocks. */
export interface Lifetime {
  readonly start: Instant
  readonly ms: number
}

/** The remaining validity of a token, by the clock with less time left; negative if it has expired. */
export function remainingMs({ start, ms }: Lifetime, now: Instant): number {
  return untilMs(later(start, ms), now)
}
