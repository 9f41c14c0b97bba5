import { busyMs, callAfter } from '../core/clock.js'
import { WORK_ENDS_WITH_REQUEST } from '../core/request-context.js'
import type { Lease, LeaseState } from './lease.js'
import { UNAVAILABLE, type StoreGuard, type StoreGuardOptions } from './store-guard.js'

export interface LeasesOptions extends StoreGuardOptions {
  readonly guard: StoreGuard
}

/** A holder that dies delays the others by this much. */
const TTL_MS = 1_000
/** If the event loop is busy for more than half of the time, because leases are then extended late. */
const BUSY_TTL_MS = 3_000
/** The share of busy time is measured over at least this time. */
const SAMPLE_MS = 100
const EXTEND_EVERY_MS = 300
/** After so many failures or fruitless waits in a row, leases are ignored. */
const MAX_FAILURES = 3
const PAUSE_MS = 30_000

/** The leases of one client. */
export class Leases {
  readonly #options: LeasesOptions
  readonly #taken = new Set<Lease>()
  #failures = 0
  #failedAt = -Infinity
  #pausedUntil = -Infinity
  /** The clock of a machine starts with the process. */
  #sample = { at: 0, busyMs: 0 }
  #isBusy = false

  constructor(options: LeasesOptions) {
    this.#options = options
  }

  /** Whether the store has leases, and they are not ignored at the moment. */
  get areUsed(): boolean {
    const { store } = this.#options
    // The lease of a request that ends would never be released.
    return store.acquireLease && store.releaseLease && !WORK_ENDS_WITH_REQUEST ? !this.#isPaused : false
  }

  /** Returns the lease of a record; undefined if the store has no leases, or they are ignored at the moment. */
  open(storeKey: string): Lease | undefined {
    return this.areUsed ? this.#make(storeKey) : undefined
  }

  /** Releases what the mints of a client have taken that is closed. */
  close(): void {
    for (const lease of this.#taken) lease.release()
  }

  get #isPaused(): boolean {
    return this.#options.clock.monotonic() < this.#pausedUntil
  }

  /** How long a lease is taken for now. */
  #measureTtlMs(): number {
    const { clock } = this.#options
    const sample = { at: clock.monotonic(), busyMs: busyMs(clock) }
    const elapsedMs = sample.at - this.#sample.at
    if (elapsedMs >= SAMPLE_MS) {
      this.#isBusy = sample.busyMs - this.#sample.busyMs > elapsedMs / 2
      this.#sample = sample
    }
    return this.#isBusy ? BUSY_TTL_MS : TTL_MS
  }

  #make(storeKey: string): Lease {
    const { store, guard, clock } = this.#options
    const holder = crypto.randomUUID()
    const held = new Set<string>()
    let stopTimer: (() => void) | undefined
    let isReleased = false
    const acquire = (key: string): Promise<unknown> =>
      guard.lease(() => store.acquireLease?.(key, holder, this.#measureTtlMs()))
    const extendLater = (): void => {
      stopTimer = callAfter(clock, EXTEND_EVERY_MS, () => {
        for (const key of held) void acquire(key)
        extendLater()
      })
    }
    const take = async (key: string): Promise<LeaseState> => {
      if (this.#isPaused || guard.isPaused) return 'unavailable'
      const startedAt = clock.monotonic()
      const result = await acquire(key)
      if (result === UNAVAILABLE) this.#recordFailure(startedAt)
      if (result === false) return 'held'
      if (isReleased) {
        // The mint ended before the answer.
        this.#release(key, holder)
        return 'unavailable'
      }
      // After a timeout too, because the store may still do it.
      held.add(key)
      this.#taken.add(lease)
      if (!stopTimer) extendLater()
      if (result === UNAVAILABLE) return 'unavailable'
      // A lease that is held, or overtaken, does not show that waiting for it is of use.
      if (key === storeKey && startedAt >= this.#failedAt) this.#failures = 0
      return 'taken'
    }
    const lease: Lease = {
      take: () => take(storeKey),
      overtake: async () => {
        const state = await take(`${storeKey}:overtake`)
        // To take it over when that of the holder ends, before a third process does.
        if (state === 'taken') held.add(storeKey)
        return state
      },
      release: () => {
        isReleased = true
        stopTimer?.()
        for (const key of held) this.#release(key, holder)
        held.clear()
        this.#taken.delete(lease)
      },
      recordWait: ({ startedAt, isFruitless }) => {
        if (isFruitless) this.#recordFailure(startedAt)
        else this.#failures = 0
      },
    }
    return lease
  }

  /** Without the guard, because a lease that is not released ends soon, so a failure means nothing. */
  #release(key: string, holder: string): void {
    // `new Promise`, because a store may throw synchronously.
    new Promise(resolve => resolve(this.#options.store.releaseLease?.(key, holder))).catch(() => undefined)
  }

  #recordFailure(startedAt: number): void {
    // Concurrent failures with the same cause count as one.
    if (startedAt < this.#failedAt) return
    const { clock, events, random } = this.#options
    this.#failedAt = clock.monotonic()
    if (++this.#failures < MAX_FAILURES) return
    this.#failures = 0
    if (this.#isPaused) return
    const durationMs = PAUSE_MS * (1 - 0.5 * random())
    this.#pausedUntil = this.#failedAt + durationMs
    events.emit({ type: 'lease-pause', durationMs })
  }
}
