/** Hands a change to a store; its result tells when the store itself has done with it, which may be never. */
export type Mutation = () => Promise<{ readonly settled: Promise<unknown> } | undefined>

/**
 * The change asked for last is the one that holds, however late an earlier one of the same key comes to its end.
 *
 * A store may be slow to apply a write that nobody waits for any longer: a removal that came after it is then repeated.
 */
export class MutationOrder {
  readonly #lanes = new Map<string, { latest: Mutation; running: number }>()

  /** Resolves when `mutation` has been handed over. */
  async run(key: string, mutation: Mutation): Promise<void> {
    const lane = this.#lanes.get(key) ?? { latest: mutation, running: 0 }
    this.#lanes.set(key, lane)
    lane.latest = mutation
    lane.running++
    const handed = await mutation().catch(() => undefined)
    const end = (): void => {
      lane.running--
      if (lane.latest !== mutation) void this.run(key, lane.latest)
      if (lane.running === 0) this.#lanes.delete(key)
    }
    if (handed) void handed.settled.then(end, end)
    else end()
  }
}
