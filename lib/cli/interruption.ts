import { endProcess } from './end-process.js'
import { SIGNALS } from './exit-codes.js'

/** How long a run waits for tokens in flight after Ctrl-C. */
const GRACE_MS = 5_000

/** How long the process may then take to write its output and exit. */
const LAST_WRITE_MS = 1_000

/**
 * Ends a run on a signal. The first Ctrl-C stops new work and waits for tokens in flight, so that minted tokens are
 * written. The second Ctrl-C aborts the wait.
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

  /** Aborts when the run must start no new work. */
  get stopSignal(): AbortSignal {
    return this.#stop.signal
  }

  /** Aborts when the run must not wait any longer. */
  get abortSignal(): AbortSignal {
    return this.#abort.signal
  }

  /** The exit code of the process, if it was interrupted. */
  get exitCode(): number | undefined {
    return this.#exitCode
  }

  /** Ends the run immediately, without a signal. */
  abort(exitCode: number): void {
    const code = (this.#exitCode ??= exitCode)
    this.#stop.abort()
    this.#abort.abort()
    // A reader that stops reading the output would keep the process alive forever.
    setTimeout(() => void endProcess(code), LAST_WRITE_MS).unref()
  }

  /** Removes the signal listeners. The deadline of an interrupted run continues, because output may be pending. */
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
