/**
 * Runs at most one task per key. Concurrent callers share its outcome.
 *
 * They share a failure too, but the next call starts a new task.
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

    // After forget(), the key may belong to a newer flight; only the current one may clean up.
    const isCurrent = (): boolean => this.#flights.get(key) === flight
    const fly = async (): Promise<T> => {
      // The flight must be registered before its task starts.
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

  /** Lets new callers start a new task; callers that already wait still get the outcome. */
  forget(key: string): void {
    this.#flights.delete(key)
  }

  clear(): void {
    this.#flights.clear()
  }
}
