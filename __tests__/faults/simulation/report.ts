import type { Outcome, Simulation } from './simulation.js'

/** The results of a run for its users and the gateway. */
export interface Report {
  /** Share of the calls that got a token, of those counted. */
  readonly served: number
  readonly requestsPerCall: number
  readonly requests: number
  readonly opened: number
  readonly okP99Ms: number
  readonly failP50Ms: number
  readonly failP99Ms: number
  readonly failMaxMs: number
}

/** `counts` selects the users whose calls count as served or not; the default is all users. */
export function reportOf(
  { outcomes, sent, count }: Simulation,
  counts: (identity: string) => boolean = () => true,
): Report {
  const counted = outcomes.filter(({ identity }) => counts(identity))
  const failed = outcomes.filter(({ error }) => error)
  const served = counted.filter(({ error }) => !error)
  return {
    served: served.length / counted.length,
    requestsPerCall: sent / outcomes.length,
    requests: sent,
    opened: count('circuit-open'),
    okP99Ms: quantile(served, 0.99),
    failP50Ms: quantile(failed, 0.5),
    failP99Ms: quantile(failed, 0.99),
    failMaxMs: quantile(failed, 1),
  }
}

function quantile(outcomes: readonly Outcome[], part: number): number {
  const durations = outcomes.map(({ startedMs, endedMs }) => endedMs - startedMs).sort((a, b) => a - b)
  return durations[Math.min(durations.length - 1, Math.floor(durations.length * part))] ?? 0
}
