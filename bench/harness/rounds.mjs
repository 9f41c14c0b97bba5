// Interleaved rounds: each contender once in each, in an order that changes, so that nobody always follows the same one.
import { Candidate } from './candidate.mjs'

/** Samples of every contender at one setting, by name, one a round. */
export async function runRounds(candidates, rounds, sample) {
  const samples = Object.fromEntries(candidates.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    const turn = round % candidates.length
    for (const candidate of [...candidates.slice(turn), ...candidates.slice(0, turn)]) {
      samples[candidate.name].push(await sample(candidate))
    }
  }
  return samples
}

/** Starts each, one after another, runs `work`, and ends them whatever comes of it. */
export async function withCandidates(all, work) {
  const candidates = []
  try {
    for (const one of all) candidates.push(await Candidate.start(one))
    return await work(candidates)
  } finally {
    for (const candidate of candidates) candidate.stop()
  }
}
