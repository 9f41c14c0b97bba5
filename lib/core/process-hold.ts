/** Longer than any wait; setInterval takes no more. */
const FOREVER_MS = 2 ** 31 - 1

/**
 * Keeps the process alive while a caller waits, and not a moment longer.
 *
 * No timer or socket of the SDK does so by itself: a token being refreshed in the background must not keep a script
 * from ending, and a caller who waits must not see it end under him (Node's exit code 13).
 */
export class ProcessHold {
  #waiting = 0
  #timer: ReturnType<typeof setInterval> | undefined

  async during<T>(promise: Promise<T>): Promise<T> {
    if (this.#waiting++ === 0) this.#timer = setInterval(() => undefined, FOREVER_MS)
    try {
      return await promise
    } finally {
      if (--this.#waiting === 0) clearInterval(this.#timer)
    }
  }
}
