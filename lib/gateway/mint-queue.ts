import type { Deadline } from '../core/deadline.js'
import type { VKitError } from '../core/vkit-error.js'
import type { MintPriority, PriorityLevel } from './mint-priority.js'

/** An attempt to be sent. */
export interface AttemptRequest {
  /** Identity and scopes. */
  readonly key: string
  readonly deadline: Deadline
  readonly priority: MintPriority
  /** Whether it had its turn before, and let others pass. */
  readonly isReturning: boolean
}

/** An attempt that may be sent. */
export interface AdmittedAttempt {
  readonly key: string
  readonly sentAt: number
  readonly isProbe: boolean
  /** Whether it was admitted as one of a batch. */
  readonly isBulk: boolean
}

/** An attempt in the queue; either method removes it. */
export interface WaitingAttempt {
  readonly request: AttemptRequest
  admit(attempt: AdmittedAttempt): void
  refuse(error: VKitError): void
}

/** Attempts that wait for a slot: more urgent ones first, then those that return, then first come, first served. */
export class MintQueue {
  readonly #levels = { call: makeLevel(), refresh: makeLevel(), bulk: makeLevel() }
  readonly #onRaise: () => void

  /** `onRaise` is called when an attempt that waits has become more urgent. */
  constructor(onRaise: () => void) {
    this.#onRaise = onRaise
  }

  get size(): number {
    const { call, refresh, bulk } = this.#levels
    return sizeOf(call) + sizeOf(refresh) + sizeOf(bulk)
  }

  /** Resolves when the attempt is admitted. Rejects with its refusal, or with `deadline.reason`. */
  wait(request: AttemptRequest): Promise<AdmittedAttempt> {
    const { deadline, priority, isReturning } = request
    const placeOf = (level: PriorityLevel): Set<WaitingAttempt> =>
      isReturning ? this.#levels[level].returning : this.#levels[level].others
    return new Promise((resolve, reject) => {
      let level = placeOf(priority.level)
      const leave = (): void => {
        level.delete(waiting)
        stopWatching()
        stopListening()
      }
      const waiting: WaitingAttempt = {
        request,
        admit: attempt => {
          leave()
          resolve(attempt)
        },
        refuse: error => {
          leave()
          reject(error)
        },
      }
      level.add(waiting)
      const stopListening = priority.onRaise(() => {
        level.delete(waiting)
        level = placeOf(priority.level).add(waiting)
        this.#onRaise()
      })
      const stopWatching = deadline.onAbort(() => {
        leave()
        reject(deadline.reason)
      })
    })
  }

  /** Returns the attempt to admit next. */
  peek(): WaitingAttempt | undefined {
    const { call, refresh, bulk } = this.#levels
    for (const { returning, others } of [call, refresh, bulk]) {
      for (const waiting of returning) return waiting
      for (const waiting of others) return waiting
    }
    return undefined
  }

  /** Refuses all waiting attempts, each with its own error. */
  refuseAll(makeError: () => VKitError): void {
    for (let waiting = this.peek(); waiting; waiting = this.peek()) waiting.refuse(makeError())
  }
}

interface Level {
  readonly returning: Set<WaitingAttempt>
  readonly others: Set<WaitingAttempt>
}

function makeLevel(): Level {
  return { returning: new Set(), others: new Set() }
}

function sizeOf({ returning, others }: Level): number {
  return returning.size + others.size
}
