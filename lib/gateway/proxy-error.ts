/** The proxy opened no tunnel. Node's own message contains the address of the proxy. */
export class ProxyError extends Error {
  readonly code: unknown
  readonly #status: unknown

  constructor({ code, statusCode }: Error & { readonly code?: unknown; readonly statusCode?: unknown }) {
    super()
    this.code = code
    // NaN, if the response is not HTTP.
    this.#status = Number.isInteger(statusCode) ? statusCode : undefined
  }

  /** Like `instanceof`, which throws for some values, such as a revoked proxy. */
  static is(value: unknown): value is ProxyError {
    return typeof value === 'object' && value !== null && #status in value
  }

  /** The status of the proxy's response. */
  get status(): unknown {
    return this.#status
  }
}
