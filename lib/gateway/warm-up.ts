import type { Clock } from '../core/clock.js'
import { Deadline, untilAborted } from '../core/deadline.js'
import { VKitTimeoutError } from '../core/errors.js'
import { onAbort } from '../core/on-abort.js'
import { SingleFlight } from '../core/single-flight.js'
import { copyError } from '../core/vkit-error.js'
import type { SecretSource } from '../secret/secret-source.js'
import type { ClientTransport } from './transport.js'

export interface WarmUpPlan {
  readonly secret: SecretSource
  readonly transport: Pick<ClientTransport, 'load' | 'preconnect'>
  /** Loads what else a call loads lazily. */
  readonly loadMore: () => Promise<void> | undefined
  readonly clock: Clock
  readonly deadlineMs: number
  /** Aborts when the client is closed. */
  readonly closing: { readonly signal: AbortSignal }
}

/**
 * Does the work of a first mint that later mints do not have, and mints nothing.
 *
 * Concurrent calls share it. It bypasses the admission and emits no event: it says nothing about mints.
 */
export class WarmUp {
  readonly #plan: WarmUpPlan
  readonly #flight = new SingleFlight<void>()

  constructor(plan: WarmUpPlan) {
    this.#plan = plan
  }

  /** @throws VKitError, as a mint would; `signal.reason` if `signal` aborts, and the work goes on for other callers. */
  async run(signal?: AbortSignal): Promise<void> {
    let stop: (() => void) | undefined
    try {
      this.#plan.closing.signal.throwIfAborted()
      signal?.throwIfAborted()
      const left = new Promise<never>((_, reject) => {
        stop = signal && onAbort(signal, () => reject(signal.reason as Error))
      })
      await Promise.race([left, this.#flight.run('', () => this.#runOnce())])
    } catch (error) {
      throw signal?.aborted && error === signal.reason ? error : copyError(error)
    } finally {
      stop?.()
    }
  }

  async #runOnce(): Promise<void> {
    const { clock, deadlineMs } = this.#plan
    const closing = this.#plan.closing.signal
    const late = new VKitTimeoutError(`The client was not warm within ${deadlineMs} ms.`)
    const deadline = new Deadline(clock, deadlineMs, () => late)
    const stop = onAbort(closing, () => deadline.cancel(closing.reason))
    try {
      await untilAborted(this.#prepare(deadline), deadline)
    } finally {
      stop()
      deadline.clear()
    }
  }

  async #prepare(deadline: Deadline): Promise<void> {
    const { loadMore, secret, transport } = this.#plan
    const [read] = await Promise.all([secret.read(deadline), transport.load(), loadMore()])
    await transport.preconnect({ secret: read, deadline })
  }
}
