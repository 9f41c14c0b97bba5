import type { VKitError } from '../core/vkit-error.js'
import type { IdentitySource } from './identity-source.js'
import { OutagePolicy, type OutagePolicyOptions } from './outage-policy.js'
import { newWork, WorkQueue, type Work } from './work-queue.js'

export interface WorkPlanOptions extends OutagePolicyOptions {
  /** The largest number of identities in flight. */
  readonly concurrency: number
}

/** The mints in flight, and how many there may be. */
export interface Room {
  readonly inFlight: number
  readonly max: number
}

/** Identities that failed before have at most this share of the mints in flight, and at most so many. */
const SUSPECT_SHARE = 0.25
const MAX_SUSPECTS = 24
/** In an outage, each probe of a new identity skips this many times more of the list than the one before. */
const SKIP_FACTOR = 4
/** So many identities may wait for a retry, even with a small concurrency: those that fail must not end the reading. */
const MIN_QUEUE = 1_000
/** How many identities that succeeded are kept, to be minted again. */
const MAX_REFERENCES = 4

/**
 * Decides which identity of a run is minted next.
 *
 * If an identity fails and nothing succeeds afterwards, it may be an outage. Then a reference shows whether the gateway
 * works: an identity that has succeeded before. At the end of a list, no other identity is left that could show it.
 */
export class WorkPlan {
  readonly #options: WorkPlanOptions
  readonly #source: IdentitySource
  readonly #outage: OutagePolicy
  readonly #queue = new WorkQueue()
  /** The last identity that succeeded, and those that failed when they were minted again. */
  #succeeded: string | undefined
  readonly #references: Work[] = []
  readonly #rejected: Work[] = []
  #suspectsInFlight = 0
  #isReferenceInFlight = false
  /** Probes of new identities since the last success. */
  #probes = 0

  constructor(options: WorkPlanOptions, source: IdentitySource) {
    this.#options = options
    this.#source = source
    this.#outage = new OutagePolicy(options)
  }

  /** How many identities wait for a mint. */
  get size(): number {
    return this.#queue.size
  }

  /** Whether a failure may be retried. */
  get mayRetry(): boolean {
    return this.#outage.mayWait
  }

  /** Adds an identity to be minted first. */
  add(work: Work): void {
    this.#queue.addFresh(work)
  }

  /** Returns the next identity to mint, if one may be minted now. Call `succeed`, `fail` or `end` when its mint has ended. */
  next(room: Room): Work | undefined {
    if (this.pauseMs() > 0) return undefined
    const work = this.#choose(room)
    if (work?.isReference) this.#isReferenceInFlight = true
    else if (work?.error) this.#suspectsInFlight++
    return work
  }

  #choose({ inFlight, max }: Room): Work | undefined {
    if (this.#outage.isProbing) return inFlight > 0 ? undefined : this.#takeProbe()
    this.#probes = 0
    const share = this.#source.isExhausted ? 1 : SUSPECT_SHARE
    const hasRoom = this.#suspectsInFlight < Math.max(1, Math.min(MAX_SUSPECTS, max * share))
    if (!hasRoom) return this.#takeFresh()
    // With a limited rate, those that were refused would delay the others.
    return this.#queue.takeSuspect(this.#now, false) ?? this.#takeFresh() ?? this.#takeFailed()
  }

  #takeFresh(): Work | undefined {
    const waiting = this.#queue.takeFresh()
    if (waiting || this.#isFull) return waiting
    this.#source.pull()
    return this.#queue.takeFresh()
  }

  #takeFailed(): Work | undefined {
    const limited = this.#queue.takeSuspect(this.#now, true)
    if (limited) return limited
    if (this.#isReferenceInFlight || !this.#queue.hasUnconfirmed(this.#now)) return undefined
    return this.#takeReference() ?? this.#queue.takeUnconfirmed(this.#now)
  }

  #takeProbe(): Work | undefined {
    const reference = this.#takeReference()
    if (reference) return reference
    // The next ones of the list may fail for the same reason as the last ones.
    for (let skip = SKIP_FACTOR ** this.#probes++; skip > 1 && !this.#isFull; skip--) {
      if (this.#source.isPulling || this.#source.isExhausted) break
      this.#source.pull()
    }
    const now = this.#now
    return this.#takeFresh() ?? this.#queue.takeFailed(now)
  }

  #takeReference(): Work | undefined {
    if (this.#succeeded !== undefined) this.#references.unshift(newWork(this.#succeeded, true))
    this.#succeeded = undefined
    this.#references.length = Math.min(this.#references.length, MAX_REFERENCES)
    const [next] = this.#references
    return next && next.notBefore <= this.#now ? this.#references.shift() : undefined
  }

  /** Returns how long no identity may be minted. */
  pauseMs(): number {
    return this.#outage.pauseMs()
  }

  /** When the next identity that failed may be tried again, by the monotonic clock; Infinity if there is none. */
  get readyAt(): number {
    return this.#queue.readyAt
  }

  get #isFull(): boolean {
    return this.#queue.size > Math.max(this.#options.concurrency, MIN_QUEUE)
  }

  get #now(): number {
    return this.#options.clock.monotonic()
  }

  succeed(work: Work): void {
    this.end(work)
    this.#succeeded = work.identity
  }

  /** Takes back that `next` returned an identity: it needs no mint any more. */
  release(work: Work): void {
    if (work.isReference) this.#isReferenceInFlight = false
    else if (work.error) this.#suspectsInFlight--
  }

  /** Records the end of a mint whose result is final. */
  end(work: Work, isLimited = false): void {
    this.release(work)
    if (work.isReference || !work.error) this.#outage.recordFirst(isLimited, work.isReference)
  }

  /** Whether a 429 of this identity says something about the rate. A second one says little, if others succeed. */
  showsRate(work: Work): boolean {
    return !work.error || this.#outage.isLimitOfAll
  }

  /** Records a failure that may be retried. */
  fail(work: Work, error: VKitError): void {
    this.end(work, error.code === 'VKIT_RATE_LIMITED')
    const now = this.#now
    this.#outage.recordFailure(error)
    const failed = Object.assign(work, { error, responsesBefore: this.#options.responses() })
    // An open circuit or a full queue says nothing about this identity.
    if (error.attempts > 0 || error.refusedBy === 'key') work.notBefore = now + (error.retryAfterMs ?? 0)
    if (work.isReference) this.#references.push(work)
    else if (this.#outage.isTooLong(work)) this.#rejected.push(work)
    else this.#queue.addFailed(failed)
  }

  /** Returns the identities that are not retried: the failure is their own, or the outage is too long. */
  takeRejected(): readonly Work[] {
    for (const work of this.#queue.takeConfirmed(this.#options.responses())) {
      if (this.#outage.isOwnFault(work)) this.#rejected.push(work)
      else this.#queue.addSuspect(work)
    }
    if (!this.#outage.canWait) this.#rejected.push(...this.#queue.clearFailed())
    return this.#rejected.splice(0)
  }

  /** Stops retries. Removes and returns the identities that wait for a mint. */
  drain(): readonly Work[] {
    this.#outage.stopWaiting()
    return this.#queue.clear()
  }
}
