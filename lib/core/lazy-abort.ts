/** An AbortController that is created at its first use: until 2026-08, workerd allowed none outside of a request. */
export class LazyAbort {
  #created: AbortController | undefined

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason)
  }

  get #controller(): AbortController {
    return (this.#created ??= new AbortController())
  }
}
