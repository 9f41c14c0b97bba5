type Source = Iterator<string> | AsyncIterator<string>

/** Reads the caller's identities one at a time, from an iterable of either kind. */
export class IdentitySource {
  readonly #source: Source
  readonly #onIdentity: (identity: string) => void
  readonly #onChange: () => void
  #isPulling = false
  #isExhausted = false
  #isStopped = false
  #failure: { readonly reason: unknown } | undefined

  /** `onChange` is called when an asynchronous pull has ended. */
  constructor(
    identities: Iterable<string> | AsyncIterable<string>,
    { onIdentity, onChange }: { readonly onIdentity: (identity: string) => void; readonly onChange: () => void },
  ) {
    this.#source =
      Symbol.asyncIterator in identities ? identities[Symbol.asyncIterator]() : identities[Symbol.iterator]()
    this.#onIdentity = onIdentity
    this.#onChange = onChange
  }

  get isPulling(): boolean {
    return this.#isPulling
  }

  /** Whether no identity comes any more. */
  get isExhausted(): boolean {
    return this.#isExhausted || this.#isStopped
  }

  /** Whether `stop` was called before the end of the source. */
  get isCutShort(): boolean {
    return this.#isStopped && !this.#isExhausted
  }

  /** What the source threw, if anything. The source is then exhausted. */
  get failure(): { readonly reason: unknown } | undefined {
    return this.#failure
  }

  /** Pulls the next identity, unless a pull is pending or the source is exhausted. */
  pull(): void {
    if (this.#isPulling || this.isExhausted) return
    try {
      const step = this.#source.next()
      if (!isPromise(step)) return this.#receive(step)
      this.#isPulling = true
      void Promise.resolve(step)
        .then(each => this.#receive(each))
        .catch((reason: unknown) => this.#fail(reason))
        .finally(() => {
          this.#isPulling = false
          this.#onChange()
        })
    } catch (reason) {
      this.#fail(reason)
    }
  }

  /** Reads no more of the source, and ignores what a pending pull returns. */
  stop(): void {
    this.#isStopped = true
  }

  /** Closes the source, as `for … of` does when it ends early. Rejects with what the source throws. */
  async close(): Promise<void> {
    if (this.#isExhausted) return
    const closing = this.#source.return?.()
    // A source cannot close during a pull, and the pull may never end.
    if (this.#isPulling) Promise.resolve(closing).catch(() => undefined)
    else await closing
  }

  #receive({ done, value }: IteratorResult<string, unknown>): void {
    if (done) this.#isExhausted = true
    else if (!this.#isStopped) this.#onIdentity(value)
  }

  #fail(reason: unknown): void {
    this.#isExhausted = true
    this.#failure = { reason }
  }
}

function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as Partial<PromiseLike<T>>).then === 'function'
}
