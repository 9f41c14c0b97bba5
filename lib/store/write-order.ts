import { WORK_ENDS_WITH_REQUEST } from '../core/request-context.js'

/** The maximum number of keys with changes that may have ended with their request. */
const MAX_KEYS = 1_000

/** Passes a change to a store. The result settles when the store is done with it, which may be never. */
export type Write = () => Promise<{ readonly settled: Promise<unknown> } | undefined>

/**
 * Makes the last change of a key win, even if an earlier one ends later.
 *
 * A store may apply a write after its caller has stopped waiting. A later removal is then repeated.
 */
export class WriteOrder {
  readonly #queues = new Map<string, { latest: Write; running: number }>()

  /** Resolves when `write` has been passed to the store. */
  async run(key: string, write: Write): Promise<void> {
    const queue = this.#queues.get(key) ?? { latest: write, running: 0 }
    this.#queues.set(key, queue)
    if (WORK_ENDS_WITH_REQUEST) this.#forgetOldest()
    queue.latest = write
    queue.running++
    const outcome = await write().catch(() => undefined)
    const end = (): void => {
      queue.running--
      if (queue.latest !== write) void this.run(key, queue.latest)
      if (queue.running === 0 && this.#queues.get(key) === queue) this.#queues.delete(key)
    }
    if (outcome) void outcome.settled.then(end, end)
    else end()
  }

  #forgetOldest(): void {
    const [oldest] = this.#queues.keys()
    if (oldest !== undefined && this.#queues.size > MAX_KEYS) this.#queues.delete(oldest)
  }
}
