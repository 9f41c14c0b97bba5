/** What a mint is for: a waiting call, a background refresh, or a run over many identities. */
export type PriorityLevel = 'call' | 'refresh' | 'bulk'

/** The most urgent level has the lowest number. */
const ORDER: Readonly<Record<PriorityLevel, number>> = { call: 0, refresh: 1, bulk: 2 }

/** How urgent a mint is. The level rises when a more urgent caller joins the mint. */
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
    if (ORDER[level] >= ORDER[this.#level]) return
    this.#level = level
    this.#listener?.()
  }

  /**
   * Calls `listener` when the level is raised, until the returned function is called.
   *
   * Only one listener is possible at a time.
   */
  onRaise(listener: () => void): () => void {
    this.#listener = listener
    return () => (this.#listener = undefined)
  }
}
