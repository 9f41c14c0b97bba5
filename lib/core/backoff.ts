/** Returns a number from 0 up to but not including 1, as `Math.random` does. */
export type Random = () => number

export interface Backoff {
  /** The first wait, at most. */
  readonly firstMs: number
  /** Any wait, at most. */
  readonly longestMs: number
  /** The part of each wait that is random. Default 1: full jitter. */
  readonly jitter?: number
}

/** How long to wait after `failures` failures before this one: less than a ceiling that doubles, by a random part of it. */
export function backoffMs(failures: number, { firstMs, longestMs, jitter = 1 }: Backoff, random: Random): number {
  const ceiling = Math.min(longestMs, firstMs * 2 ** failures)
  return ceiling * (1 - jitter + jitter * random())
}
