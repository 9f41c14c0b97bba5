// Interleaved rounds: each candidate runs once per round, in a changing order, so that none always follows the same one.
import { Candidate } from './candidate.mjs'

/** Returns the samples of all candidates for one setting, by name, one per round. */
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

/** Starts the candidates one after another, runs `work`, and always stops them at the end. */
export async function withCandidates(all, work) {
  const candidates = []
  try {
    for (const one of all) candidates.push(await Candidate.start(one))
    return await work(candidates)
  } finally {
    for (const candidate of candidates) candidate.stop()
  }
}
