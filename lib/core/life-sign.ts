import { callAfter, type Clock } from './clock.js'
import { untilAborted, type Deadline } from './deadline.js'
import { MAX_SILENCE_MS } from './request-context.js'

const MS_BETWEEN_SIGNS = MAX_SILENCE_MS / 5

/**
 * Shows whether the request is alive that started some work: its timer fires only as long.
 *
 * Other requests wait for the work with timers of their own.
 */
export class LifeSign {
  readonly #clock: Clock
  #seenAt = -Infinity
  #stopTimer: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.#show()
  }

  /** Whether its request has probably ended; or this process has been too busy for timers. */
  get isSilent(): boolean {
    return this.#silentInMs() <= 0
  }

  /** Whether a follower has found that its request has ended. */
  get hasEnded(): boolean {
    return this.#seenAt === -Infinity
  }

  /** Stops the timer, because the work is done. */
  end(): void {
    this.#stopTimer?.()
  }

  /**
   * Waits for the work, which must not reject. Resolves with undefined if its request has ended; rejects with the reason
   * of `deadline`.
   */
  follow<T>(work: Promise<T>, deadline?: Deadline): Promise<T | undefined> {
    let stop = (): void => undefined
    const followed = new Promise<T | undefined>(resolve => {
      const giveUp = (): void => {
        this.#seenAt = -Infinity
        resolve(undefined)
      }
      const check = (isConfirmed: boolean): void => {
        if (isConfirmed && this.isSilent) return giveUp()
        // If the process had no time, all timers end together, and the sign may come just after this check.
        const leftMs = this.#silentInMs() - MS_BETWEEN_SIGNS
        stop = callAfter(this.#clock, Math.max(leftMs, MS_BETWEEN_SIGNS), () => check(leftMs <= 0))
      }
      check(false)
      // Newer versions of Workers reject a promise whose request has ended.
      work.then(resolve, giveUp)
    })
    return (deadline ? untilAborted(followed, deadline) : followed).finally(() => stop())
  }

  #silentInMs(): number {
    return this.#seenAt + MAX_SILENCE_MS - this.#clock.monotonic()
  }

  #show(): void {
    this.#seenAt = this.#clock.monotonic()
    this.#stopTimer = callAfter(this.#clock, MS_BETWEEN_SIGNS, () => this.#show())
  }
}
