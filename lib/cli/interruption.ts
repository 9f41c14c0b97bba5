const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

/** How long, after Ctrl-C, those under way are waited for. */
const GRACE_MS = 5_000

/** How long, after that, the process may take to write what it has and to end. */
const LAST_WRITE_MS = 1_000

/**
 * Ends a run as its user asks: at the first Ctrl-C no more is begun, and what is under way is waited for a little, for a token
 * that has been minted should be written; at the second one it is left.
 */
export class Interruption {
  readonly #stop = new AbortController()
  readonly #abort = new AbortController()
  readonly #listeners = new Map<NodeJS.Signals, () => void>()
  #timer: ReturnType<typeof setTimeout> | undefined
  readonly #onFirst: (() => void) | undefined
  #exitCode: number | undefined

  /** `onFirst` is called at the first Ctrl-C. */
  constructor(onFirst?: () => void) {
    this.#onFirst = onFirst
    for (const [signal, exitCode] of Object.entries(SIGNALS) as [NodeJS.Signals, number][]) {
      const listener = (): void => this.#interrupt(exitCode)
      this.#listeners.set(signal, listener)
      process.on(signal, listener)
    }
  }

  /** Aborts when no more is to be begun. */
  get stopSignal(): AbortSignal {
    return this.#stop.signal
  }

  /** Aborts when nothing is to be waited for any longer. */
  get abortSignal(): AbortSignal {
    return this.#abort.signal
  }

  /** What the process is to end with, if it was interrupted. */
  get exitCode(): number | undefined {
    return this.#exitCode
  }

  /** Leaves at once, for a reason of one's own. */
  abort(exitCode: number): void {
    this.#exitCode ??= exitCode
    this.#stop.abort()
    this.#abort.abort()
    // A reader of the output that reads no more would hold the process for good.
    setTimeout(() => process.exit(this.#exitCode), LAST_WRITE_MS).unref()
  }

  /** Gives the signals back. The deadline of an interrupted run goes on: what was printed has yet to be written. */
  dispose(): void {
    this.#timer?.unref()
    for (const [signal, listener] of this.#listeners) process.removeListener(signal, listener)
  }

  #interrupt(exitCode: number): void {
    if (this.#stop.signal.aborted) return this.abort(exitCode)
    this.#exitCode = exitCode
    this.#stop.abort()
    this.#onFirst?.()
    this.#timer = setTimeout(() => this.abort(exitCode), GRACE_MS)
  }
}
