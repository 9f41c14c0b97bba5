/** Returns a number from 0 up to but not including 1, as `Math.random` does. */
export type Random = () => number

export interface Backoff {
  /** The maximum of the first wait. */
  readonly firstMs: number
  /** The maximum of all waits. */
  readonly longestMs: number
  /** The random fraction of each wait. Default 1: full jitter. */
  readonly jitter?: number
}

/** The random wait after `failures` earlier failures, below a ceiling that doubles. */
export function backoffMs(failures: number, { firstMs, longestMs, jitter = 1 }: Backoff, random: Random): number {
  const ceiling = Math.min(longestMs, firstMs * 2 ** failures)
  return ceiling * (1 - jitter + jitter * random())
}
