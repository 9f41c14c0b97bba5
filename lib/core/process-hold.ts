import { keepProcessAlive } from './machine.js'

/**
 * Keeps the process alive only while a caller waits.
 *
 * No timer or socket of the SDK keeps it alive, so a refresh in the background does not stop a script from ending.
 * Without this class, the process could end while a caller waits (exit code 13 of Node).
 */
export class ProcessHold {
  #waiting = 0
  #letEnd: (() => void) | undefined
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
    if (this.#waiting++ === 0) this.#letEnd = keepProcessAlive()
  }

  end(): void {
    if (--this.#waiting > 0) return
    this.#letEnd?.()
    this.#onIdle?.()
  }

  /** Resolves when no caller waits. Called once. */
  async idle(): Promise<void> {
    if (this.#waiting > 0) await new Promise<void>(resolve => (this.#onIdle = resolve))
  }
}
