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

/** From when, and for how long, a token is valid, in our own time. */
export interface Lifetime {
  readonly start: Instant
  readonly ms: number
}
