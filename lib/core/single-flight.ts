import { WORK_ENDS_WITH_REQUEST } from './request-context.js'

/**
 * Runs at most one task per key. Concurrent callers share its outcome.
 *
 * They share a failure too, but the next call starts a new task. If work can end with a request, each caller has its own
 * task instead.
 */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Promise<T>>()

  /** The flight that a call with this key would join. */
  get(key: string): Promise<T> | undefined {
    return this.#flights.get(key)
  }

  run(key: string, task: () => Promise<T>): Promise<T> {
    if (WORK_ENDS_WITH_REQUEST) return Promise.resolve().then(task)
    const running = this.#flights.get(key)
    if (running) return running

    // After forget(), the key may belong to a newer flight; only the current one may clean up.
    const fly = async (): Promise<T> => {
      // The flight must be registered before its task starts.
      await Promise.resolve()
      try {
        return await task()
      } finally {
        if (this.#flights.get(key) === flight) this.#flights.delete(key)
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
