import { callAfter, type Clock } from '../core/clock.js'
import { VKitResponseError, VKitTimeoutError } from '../core/errors.js'
import { networkError } from './response-errors.js'
import { MAX_BODY_BYTES, type RawResponse } from './response.js'
import type { ExchangeRequest, Fetch, FetchResponse } from './transport.js'

interface Context {
  readonly clock: Clock
  /** Where the request goes, for messages. */
  readonly place: () => string
}

/** Any object, because a caller's `fetch` may return any. */
interface BodyReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array }>
  cancel(): Promise<void>
}

/** One request with `fetch`, and its response. */
export class FetchExchange {
  readonly #send: (signal: AbortSignal) => ReturnType<Fetch>
  readonly #request: ExchangeRequest
  readonly #context: Context
  readonly #control = new AbortController()
  #reader: BodyReader | undefined
  #isSettled = false
  #resolve!: (response: RawResponse) => void
  #reject!: (error: Error) => void
  #stopTimer!: () => void
  #stopWatching: () => void = () => undefined

  constructor(send: (signal: AbortSignal) => ReturnType<Fetch>, request: ExchangeRequest, context: Context) {
    this.#send = send
    this.#request = request
    this.#context = context
  }

  /**
   * Sends the request and returns the response.
   *
   * It ends in time, although a caller's `fetch` may ignore its signal.
   */
  run(): Promise<RawResponse> {
    const { deadline, timeoutMs, onDispatch } = this.#request
    return new Promise<RawResponse>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      this.#stopTimer = callAfter(this.#context.clock, timeoutMs, () => this.#fail(this.#timeoutError()))
      // Last, because a getter of the global `fetch` may have ended the deadline.
      this.#stopWatching = deadline.onAbort(() => this.#fail(deadline.reason as Error))
      onDispatch?.()
      this.#receive().catch((error: unknown) => this.#fail(networkError(causeOf(error), this.#context.place())))
    })
  }

  async #receive(): Promise<void> {
    const response = await this.#send(this.#control.signal)
    const { status } = response
    const body = response.body as { getReader(): BodyReader } | null
    this.#reader = body?.getReader()
    if (this.#isSettled) return this.#stop()
    // By the standard, `fetch` hides the status of a redirect.
    if (status === 0 || response.redirected === true) return this.#fail(this.#redirectError())
    const headers = headersOf(response)
    const bytes = await this.#readBody()
    if (!bytes) return this.#fail(new VKitResponseError(`${this.#context.place()} sent more than 64 KiB.`))
    this.#settle()
    this.#resolve({ status, headers, bytes })
    // Otherwise, Node's fetch waits for a body that the headers of a 304 announce.
    if (!this.#reader) this.#stop()
  }

  /** Returns undefined if the body is too long. */
  async #readBody(): Promise<Uint8Array | undefined> {
    const chunks: Uint8Array[] = []
    let length = 0
    for (;;) {
      const { done, value } = (await this.#reader?.read()) ?? {}
      if (done || !value) return concat(chunks, length)
      if (!Number.isInteger(value.length)) throw new TypeError()
      length += value.length
      if (length > MAX_BODY_BYTES) return undefined
      chunks.push(value)
    }
  }

  #fail(error: Error): void {
    if (this.#isSettled) return
    this.#settle()
    this.#reject(error)
    this.#stop()
  }

  /** Ends the request. */
  #stop(): void {
    const ignore = (): undefined => undefined
    try {
      // With a reason, because abort() without one creates a DOMException with a stack.
      this.#control.abort('stopped')
      this.#reader?.cancel().catch(ignore)
    } catch {
      // Workers may refuse this to another request than the one that called `fetch`.
    }
  }

  #settle(): void {
    this.#isSettled = true
    this.#stopTimer()
    this.#stopWatching()
  }

  #timeoutError(): VKitTimeoutError {
    const { timeoutMs } = this.#request
    return new VKitTimeoutError(`No complete response from ${this.#context.place()} within ${timeoutMs} ms.`)
  }

  #redirectError(): VKitResponseError {
    const message = `${this.#context.place()} responded with a redirect, which the client does not follow. Check baseUrl.`
    return new VKitResponseError(message, { code: 'VKIT_REDIRECT' })
  }
}

function headersOf({ headers }: FetchResponse): Record<string, string> {
  const record = Object.create(null) as Record<string, string>
  headers.forEach((value, name) => (record[name.toLowerCase()] = value))
  return record
}

function concat(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const [first] = chunks
  if (first && chunks.length === 1) return first
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

/** The cause of Node's `fetch failed`, or the error itself. Reading it may throw, because anything can be thrown. */
function causeOf(error: unknown): unknown {
  try {
    const { cause } = error as { readonly cause?: unknown }
    return typeof cause === 'object' && cause !== null ? cause : error
  } catch {
    return error
  }
}
