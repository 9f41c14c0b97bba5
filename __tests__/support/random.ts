/** The seed of the random numbers in tests. It is the same in every run unless VKIT_TEST_SEED is set. */
export const SEED = readSeed(process.env['VKIT_TEST_SEED'])

function readSeed(text = '1'): number {
  const seed = Number(text)
  if (!Number.isInteger(seed)) throw new Error('VKIT_TEST_SEED must be an integer')
  return seed
}

/** Returns numbers from 0 to 1 like `Math.random`, but the same numbers for the same seed (mulberry32). */
export function seededRandom(seed = SEED): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
