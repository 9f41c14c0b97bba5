import type { Deadline } from '../core/deadline.js'
import type { VKitError } from '../core/vkit-error.js'
import type { MintPriority, PriorityLevel } from './mint-priority.js'

/** An attempt to be sent. */
export interface AttemptRequest {
  /** Identity and scopes. */
  readonly key: string
  readonly deadline: Deadline
  readonly priority: MintPriority
}

/** An attempt that may be sent. */
export interface AdmittedAttempt {
  readonly key: string
  readonly sentAt: number
  readonly isProbe: boolean
}

/** An attempt in the queue; either method removes it. */
export interface WaitingAttempt {
  readonly request: AttemptRequest
  admit(attempt: AdmittedAttempt): void
  refuse(error: VKitError): void
}

/** Attempts that wait for a slot: more urgent ones first, then first come, first served. */
export class MintQueue {
  readonly #levels: Record<PriorityLevel, Set<WaitingAttempt>> = {
    call: new Set(),
    refresh: new Set(),
    bulk: new Set(),
  }

  get size(): number {
    const { call, refresh, bulk } = this.#levels
    return call.size + refresh.size + bulk.size
  }

  /** Resolves when the attempt is admitted. Rejects with its refusal, or with `deadline.reason`. */
  wait(request: AttemptRequest): Promise<AdmittedAttempt> {
    const { deadline, priority } = request
    return new Promise((resolve, reject) => {
      let level = this.#levels[priority.level]
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
        level = this.#levels[priority.level].add(waiting)
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
    for (const level of [call, refresh, bulk]) for (const waiting of level) return waiting
    return undefined
  }

  /** Refuses all waiting attempts, each with its own error. */
  refuseAll(makeError: () => VKitError): void {
    for (let waiting = this.peek(); waiting; waiting = this.peek()) waiting.refuse(makeError())
  }
}
