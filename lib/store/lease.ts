/** `held`: by another process. `unavailable`: the store cannot tell, so a process mints as if it were alone. */
export type LeaseState = 'taken' | 'held' | 'unavailable'

/** The right to mint a token for all processes. */
export interface Lease {
  /** Takes the lease, and keeps it until `release`. */
  take(): Promise<LeaseState>
  /** Takes the place of a holder that needs too long, so that only one of the waiting processes does. */
  overtake(): Promise<LeaseState>
  /** Gives up what was taken. */
  release(): void
  /** Records how a wait for the holder ended. */
  recordWait(wait: { readonly startedAt: number; readonly isFruitless: boolean }): void
}
