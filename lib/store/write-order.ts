import { WORK_ENDS_WITH_REQUEST } from '../core/request-context.js'
import type { StoreChange } from './shared-store.js'

/** The maximum number of keys with changes that may have ended with their request. */
const MAX_KEYS = 1_000

/** Passes a change to a store. The result settles when the store is done with it, which may be never. */
export type Write = () => Promise<StoreChange | undefined>

/**
 * Makes the last change of a key win, even if an earlier one ends later.
 *
 * A store may apply a write after its caller has stopped waiting. A later removal is then repeated.
 */
export class WriteOrder {
  readonly #queues = new Map<string, { latest: Write; running: number }>()

  /** Resolves when `write` has been passed to the store. `settled` includes that it is repeated. */
  async run(key: string, write: Write): Promise<StoreChange> {
    const queue = this.#queues.get(key) ?? { latest: write, running: 0 }
    this.#queues.set(key, queue)
    if (WORK_ENDS_WITH_REQUEST) this.#forgetOldest()
    queue.latest = write
    queue.running++
    const outcome = await write().catch(() => undefined)
    const end = async (): Promise<void> => {
      queue.running--
      const repeated = queue.latest === write ? undefined : this.run(key, queue.latest)
      if (queue.running === 0 && this.#queues.get(key) === queue) this.#queues.delete(key)
      await (
        await repeated
      )?.settled
    }
    return { settled: outcome ? outcome.settled.then(end, end) : end() }
  }

  #forgetOldest(): void {
    for (const oldest of this.#queues.keys()) {
      if (this.#queues.size <= MAX_KEYS) return
      this.#queues.delete(oldest)
    }
  }
}
