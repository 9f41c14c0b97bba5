import type { Deadline } from './deadline.js'

/** Lets only so many at a time; the others wait their turn, first come, first served. */
export class Semaphore {
  #free: number
  /** Each takes the place that it is offered, or has gone. */
  readonly #queue: (() => boolean)[] = []

  constructor(size: number) {
    this.#free = size
  }

  /** Takes a place, to be given back with `release`; waits for one only where none is free. Rejects with `deadline.reason`. */
  acquire(deadline: Deadline): Promise<void> | undefined {
    if (this.#free === 0) return this.#turn(deadline)
    this.#free--
    return undefined
  }

  release(): void {
    let offer = this.#queue.shift()
    while (offer?.() === false) offer = this.#queue.shift()
    if (offer === undefined) this.#free++
  }

  #turn(deadline: Deadline): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = deadline.onAbort(() => reject(deadline.reason))
      this.#queue.push(() => {
        if (deadline.aborted) return false
        leave()
        resolve()
        return true
      })
    })
  }
}
