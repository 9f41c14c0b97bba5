import type { TokenStore } from '../../lib/index.js'

/** Forwards operations to a real store, and records them. */
export class RecordingStore<S extends TokenStore> implements TokenStore {
  readonly inner: S
  readonly keys: string[] = []
  readonly writes: { readonly key: string; readonly value: string; readonly ttlMs: number }[] = []
  losesRemovals = false
  readonly #pending = new Set<Promise<unknown>>()
  #gate: Promise<void> | undefined

  constructor(inner: S) {
    this.inner = inner
  }

  get(key: string): unknown {
    this.keys.push(key)
    return this.#track(() => this.inner.get(key))
  }

  set(key: string, value: string, ttlMs: number): unknown {
    this.keys.push(key)
    this.writes.push({ key, value, ttlMs })
    const gate = this.#gate
    return this.#track(async () => {
      await gate
      return this.inner.set(key, value, ttlMs)
    })
  }

  delete(key: string): unknown {
    this.keys.push(key)
    return this.losesRemovals ? true : this.#track(() => this.inner.delete(key))
  }

  /** Delays later writes until the returned function is called. That function resolves when the store is idle. */
  holdWrites(): () => Promise<void> {
    let open: () => void = () => undefined
    this.#gate = new Promise(resolve => (open = resolve))
    return async () => {
      this.#gate = undefined
      open()
      await this.idle()
    }
  }

  /** Resolves when no operation is pending, and none follows from an earlier one. */
  async idle(): Promise<void> {
    for (let idleTurns = 0; idleTurns < 20; idleTurns++) {
      if (this.#pending.size > 0) idleTurns = 0
      await Promise.allSettled(this.#pending)
      await new Promise(resolve => setImmediate(resolve))
    }
  }

  #track(task: () => unknown): Promise<unknown> {
    const promise = new Promise(resolve => resolve(task()))
    this.#pending.add(promise)
    const forget = (): void => void this.#pending.delete(promise)
    promise.then(forget, forget)
    return promise
  }
}
