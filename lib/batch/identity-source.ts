type Source = Iterator<string> | AsyncIterator<string>

/** Reads the caller's identities one at a time, from an iterable of either kind. */
export class IdentitySource {
  readonly #source: Source
  readonly #onIdentity: (identity: string) => void
  readonly #onChange: () => void
  #isPulling = false
  #isExhausted = false
  #failure: { readonly reason: unknown } | undefined

  /** `onChange` is called when a pull that had to be waited for has ended. */
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

  get isExhausted(): boolean {
    return this.#isExhausted
  }

  /** What the source threw, if anything: then it is exhausted. */
  get failure(): { readonly reason: unknown } | undefined {
    return this.#failure
  }

  /** Gets the next identity, unless that is under way or there is none. */
  pull(): void {
    if (this.#isPulling || this.#isExhausted) return
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

  /** Tells the source that no more identities are wanted, as `for … of` does. Rejects with what the source throws. */
  async close(): Promise<void> {
    if (this.#isExhausted) return
    const closing = this.#source.return?.()
    // A source in the middle of a pull that may never end cannot close before it does.
    if (this.#isPulling) Promise.resolve(closing).catch(() => undefined)
    else await closing
  }

  #receive({ done, value }: IteratorResult<string, unknown>): void {
    if (done) this.#isExhausted = true
    else this.#onIdentity(value)
  }

  #fail(reason: unknown): void {
    this.#isExhausted = true
    this.#failure = { reason }
  }
}

function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && 'then' in value
}
