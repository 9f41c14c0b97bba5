import { VKitRateLimitError } from '../core/errors.js'
import type { VKitError } from '../core/vkit-error.js'

/** An identity without a result. */
export interface Work {
  readonly identity: string
  /** Whether it has succeeded before, and is minted again only to see whether the gateway works. */
  readonly isReference: boolean
  /** Failed mints after which others succeeded. */
  tries: number
  /** The monotonic time until which another mint would be refused. */
  notBefore: number
  /** Its last error. */
  error: VKitError | undefined
}

/** An identity whose last mint failed. */
export interface FailedWork extends Work {
  error: VKitError
  /** How often the gateway had responded by then. */
  responsesBefore: number
}

export function newWork(identity: string, isReference = false): Work {
  return { identity, isReference, tries: 0, notBefore: 0, error: undefined }
}

/** The identities of a run that wait for a mint. */
export class WorkQueue {
  /** Not tried yet. */
  readonly #fresh: Work[] = []
  /** Failed, and nothing has succeeded since: it may be an outage. */
  readonly #unconfirmed: FailedWork[] = []
  /** Failed, although others succeed. */
  readonly #suspects: FailedWork[] = []

  get size(): number {
    return this.#fresh.length + this.#unconfirmed.length + this.#suspects.length
  }

  addFresh(work: Work): void {
    this.#fresh.push(work)
  }

  addFailed(work: FailedWork): void {
    this.#unconfirmed.push(work)
  }

  addSuspect(work: FailedWork): void {
    this.#suspects.push(work)
  }

  /** Returns the newest identity that was not tried, because those of a list that fail can be neighbours. */
  takeFresh(): Work | undefined {
    return this.#fresh.pop()
  }

  /** Returns an identity that failed although others succeed, and may be tried again; `isLimited`: with a 429. */
  takeSuspect(now: number, isLimited: boolean): FailedWork | undefined {
    return takeReady(this.#suspects, now, ({ error }) => error instanceof VKitRateLimitError === isLimited)
  }

  hasUnconfirmed(now: number): boolean {
    return this.#unconfirmed.some(({ notBefore }) => notBefore <= now)
  }

  takeUnconfirmed(now: number): FailedWork | undefined {
    return takeReady(this.#unconfirmed, now)
  }

  /** Returns any identity that failed and may be tried again. */
  takeFailed(now: number): FailedWork | undefined {
    return takeReady(this.#suspects, now) ?? takeReady(this.#unconfirmed, now)
  }

  /** Removes and returns the identities that failed before the last of that many responses: it was not an outage. */
  takeConfirmed(responses: number): readonly FailedWork[] {
    const confirmed = this.#unconfirmed.findLastIndex(({ responsesBefore }) => responsesBefore < responses) + 1
    return this.#unconfirmed.splice(0, confirmed)
  }

  /** Removes and returns all that failed. */
  clearFailed(): readonly FailedWork[] {
    return [...this.#suspects.splice(0), ...this.#unconfirmed.splice(0)]
  }

  /** Removes and returns all. */
  clear(): readonly Work[] {
    return [...this.#fresh.splice(0), ...this.clearFailed()]
  }

  /** When the next failed identity may be tried again; Infinity if there is none. */
  get readyAt(): number {
    let readyAt = Infinity
    for (const works of [this.#suspects, this.#unconfirmed])
      for (const { notBefore } of works) readyAt = Math.min(readyAt, notBefore)
    return readyAt
  }
}

function takeReady(
  works: FailedWork[],
  now: number,
  matches: (work: FailedWork) => boolean = () => true,
): FailedWork | undefined {
  const index = works.findIndex(work => work.notBefore <= now && matches(work))
  return index < 0 ? undefined : works.splice(index, 1)[0]
}
