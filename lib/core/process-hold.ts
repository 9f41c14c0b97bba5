/** The maximum of setInterval, longer than any wait. */
const FOREVER_MS = 2 ** 31 - 1

/**
 * Keeps the process alive only while a caller waits.
 *
 * No timer or socket of the SDK keeps it alive, so a refresh in the background does not stop a script from ending.
 * Without this class, the process could end while a caller waits (exit code 13 of Node).
 */
export class ProcessHold {
  #waiting = 0
  #timer: ReturnType<typeof setInterval> | undefined
  #onIdle: (() => void) | undefined

  async during<T>(promise: Promise<T>): Promise<T> {
    this.begin()
    try {
      return await promise
    } finally {
      this.end()
    }
  }

  /** Keeps the process alive until `end` is called as often as `begin`. */
  begin(): void {
    if (this.#waiting++ === 0) this.#timer = setInterval(() => undefined, FOREVER_MS)
  }

  end(): void {
    if (--this.#waiting > 0) return
    clearInterval(this.#timer)
    this.#onIdle?.()
  }

  /** Resolves when no caller waits. Called once. */
  async idle(): Promise<void> {
    if (this.#waiting > 0) await new Promise<void>(resolve => (this.#onIdle = resolve))
  }
}
