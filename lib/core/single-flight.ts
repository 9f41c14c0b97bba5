/**
 * Runs at most one task per key; callers arriving meanwhile share its outcome.
 *
 * A failure is shared too, then forgotten: the next call starts a new task.
 */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Promise<T>>()

  /** The flight that a call with this key would join. */
  get(key: string): Promise<T> | undefined {
    return this.#flights.get(key)
  }

  run(key: string, task: (isCurrent: () => boolean) => Promise<T>): Promise<T> {
    const running = this.#flights.get(key)
    if (running) return running

    // forget() may give the key to a newer flight; only the current one may write or clean up.
    const isCurrent = (): boolean => this.#flights.get(key) === flight
    const fly = async (): Promise<T> => {
      // It must be known by its key before it starts.
      await Promise.resolve()
      try {
        return await task(isCurrent)
      } finally {
        if (isCurrent()) this.#flights.delete(key)
      }
    }
    const flight = fly()
    this.#flights.set(key, flight)
    return flight
  }

  /** Lets new callers start afresh; callers already waiting still settle. */
  forget(key: string): void {
    this.#flights.delete(key)
  }

  clear(): void {
    this.#flights.clear()
  }
}
