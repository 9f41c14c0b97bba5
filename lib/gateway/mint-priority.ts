/** Who waits for a mint: a caller, no one yet (a background refresh), or a run over many identities. */
export type PriorityLevel = 'call' | 'refresh' | 'bulk'

const ORDER: readonly PriorityLevel[] = ['call', 'refresh', 'bulk']

/** How urgent a mint is. It becomes more so when someone more urgent joins it. */
export class MintPriority {
  #level: PriorityLevel
  #listener: (() => void) | undefined

  constructor(level: PriorityLevel) {
    this.#level = level
  }

  get level(): PriorityLevel {
    return this.#level
  }

  raise(level: PriorityLevel): void {
    if (ORDER.indexOf(level) >= ORDER.indexOf(this.#level)) return
    this.#level = level
    this.#listener?.()
  }

  /** Calls `listener` when the level is raised, until the returned function is called. One at a time. */
  onRaise(listener: () => void): () => void {
    this.#listener = listener
    return () => (this.#listener = undefined)
  }
}
