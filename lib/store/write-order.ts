/** Hands a change to a store; its result says when the store itself is done with it, which may be never. */
export type Write = () => Promise<{ readonly settled: Promise<unknown> } | undefined>

/**
 * The change asked for last is the one that holds, however late an earlier one of the same key ends.
 *
 * A store may apply a write after its caller has stopped waiting: a removal that came after it is then repeated.
 */
export class WriteOrder {
  readonly #queues = new Map<string, { latest: Write; running: number }>()

  /** Resolves when `write` has been handed to the store. */
  async run(key: string, write: Write): Promise<void> {
    const queue = this.#queues.get(key) ?? { latest: write, running: 0 }
    this.#queues.set(key, queue)
    queue.latest = write
    queue.running++
    const handed = await write().catch(() => undefined)
    const end = (): void => {
      queue.running--
      if (queue.latest !== write) void this.run(key, queue.latest)
      if (queue.running === 0) this.#queues.delete(key)
    }
    if (handed) void handed.settled.then(end, end)
    else end()
  }
}
