import { TokenBatch, type TokenBatchOptions } from '../../../lib/batch/token-batch.js'
import { ProcessHold } from '../../../lib/core/process-hold.js'
import { bulkCall } from '../../../lib/options/call-options.js'
import type { SessionTokenResult } from '../../../lib/options/types.js'
import { DEADLINE_MS, type Simulation } from './simulation.js'

/** The result of an identity, and when it came. */
export interface BulkResult {
  readonly identity: string
  readonly atMs: number
  /** `token`, or the code of the error. */
  readonly outcome: string
}

/** A run of `getSessionTokens` in a simulation. */
export interface BulkRun {
  readonly results: BulkResult[]
  /** Undefined until the end. */
  endedMs: number | undefined
  /** Ends the run, which otherwise keeps the process alive. */
  readonly stop: () => void
}

/** Starts a run as the client does. It goes on while the simulation's clock runs. */
export function startBulk(
  simulation: Simulation,
  identities: Iterable<string>,
  options: Partial<TokenBatchOptions> = {},
): BulkRun {
  const { cache, clock, minter } = simulation
  const requestOf = (identity: string): { identity: string; scopes: [] } => ({ identity, scopes: [] })
  const call = bulkCall(DEADLINE_MS)
  const abort = new AbortController()
  const batch = new TokenBatch({
    concurrency: 1_000,
    concurrencyLimit: () => minter.concurrencyLimit,
    responses: () => minter.responses,
    hasCallers: () => minter.hasCallers,
    findToken: identity => cache.find(requestOf(identity), call),
    getToken: (identity, { signal, isReference }) =>
      cache.fetch(requestOf(identity), { ...call, signal, mode: isReference ? 'no-store' : 'default' }),
    onOutage: 'wait',
    maxOutageMs: 600_000,
    signals: [abort.signal],
    draining: new AbortController().signal,
    clock,
    hold: new ProcessHold(),
    ...options,
  })
  const run: BulkRun = { results: [], endedMs: undefined, stop: () => abort.abort() }
  consume(batch.run(identities), run, () => clock.monotonic()).catch(() => undefined)
  return run
}

async function consume(
  results: AsyncIterable<SessionTokenResult>,
  run: BulkRun,
  monotonic: () => number,
): Promise<void> {
  for await (const { identity, error } of results) {
    run.results.push({ identity, atMs: monotonic(), outcome: error ? error.code : 'token' })
  }
  run.endedMs = monotonic()
}

/** The identities `user-0`, `user-1`, …; those in `bad` are named `bad-…` instead. */
export function listOf(n: number, isBad: (i: number) => boolean = () => false): string[] {
  return Array.from({ length: n }, (_, i) => `${isBad(i) ? 'bad' : 'user'}-${i}`)
}

/** Where `bad` identities are in a list of 300. */
export const SHAPES: readonly (readonly [string, (i: number, bad: number) => boolean])[] = [
  ['spread', (i, bad) => i % Math.round(300 / bad) === 1],
  ['first', (i, bad) => i < bad],
  ['last', (i, bad) => i >= 300 - bad],
]
