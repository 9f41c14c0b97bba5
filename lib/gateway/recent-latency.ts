const SAMPLES = 31

/** The durations of the latest successful attempts. */
export class RecentLatency {
  readonly #samples: number[] = []
  #next = 0
  #medianMs: number | undefined

  record(ms: number): void {
    this.#samples[this.#next] = ms
    this.#next = (this.#next + 1) % SAMPLES
    this.#medianMs = undefined
  }

  /** Undefined until the first success. */
  get medianMs(): number | undefined {
    return (this.#medianMs ??= [...this.#samples].sort((a, b) => a - b)[this.#samples.length >> 1])
  }
}
