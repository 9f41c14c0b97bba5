import { tracingChannel, type TracingChannel } from './diagnostics.js'
import { sanitizeCause, type SanitizedCause } from './sanitize-cause.js'
import { responseDetails, VKitError } from './vkit-error.js'

/** How traced work ended. It is complete when `asyncEnd` is published. */
export interface VKitTraceOutcome {
  /** The number of requests sent. */
  readonly attempts?: number
  /** The HTTP status of the last response. */
  readonly status?: number
  /** The gateway's ID of its request. */
  readonly requestId?: string
  /** The name and code of the error, without its message. Its name is `AbortError` if the caller's signal aborted. */
  readonly error?: SanitizedCause
}

/** Adds what is known by now to the context that subscribers see. */
export type AddToTrace<Context> = (details: Partial<Context>) => void

/**
 * Publishes work on a `tracingChannel`, as its `tracePromise` does, except for the result, which is a token.
 *
 * Subscribers and bound stores cannot change what the work returns: the context is only written, and never read.
 */
export class Tracing<Context extends VKitTraceOutcome> {
  readonly #channels: TracingChannel<unknown, Context>

  constructor(name: string) {
    this.#channels = tracingChannel(name)
  }

  /** Whether the work is to be traced. `TracingChannel` itself has this property only in newer versions of Node. */
  get hasSubscribers(): boolean {
    const { start, end, asyncStart, asyncEnd, error } = this.#channels
    return (
      start.hasSubscribers ||
      end.hasSubscribers ||
      asyncStart.hasSubscribers ||
      asyncEnd.hasSubscribers ||
      error.hasSubscribers
    )
  }

  /**
   * Runs the work in the async context of the bound stores, and publishes its start and its end.
   *
   * Nothing is read from an error for which `isForeign` returns true.
   */
  trace<T>(
    context: Context,
    work: (add: AddToTrace<Context>) => Promise<T>,
    isForeign: (reason: unknown) => boolean = () => false,
  ): Promise<T> {
    const { start, end } = this.#channels
    let running: Promise<T> | undefined
    const run = (): Promise<T> => {
      if (running) return running
      running = this.#untilEnd(context, work, isForeign)
      end.publish(context)
      return running
    }
    try {
      void start.runStores(context, run)
    } catch {
      // Node catches what subscribers and transforms throw, but not what a bound store of another class throws.
    }
    return run()
  }

  async #untilEnd<T>(
    context: Context,
    work: (add: AddToTrace<Context>) => Promise<T>,
    isForeign: (reason: unknown) => boolean,
  ): Promise<T> {
    const { asyncStart, asyncEnd, error } = this.#channels
    try {
      return await work(details => add(context, details))
    } catch (reason) {
      add(context, isForeign(reason) ? aborted() : failure(reason))
      error.publish(context)
      throw reason
    } finally {
      asyncStart.publish(context)
      asyncEnd.publish(context)
    }
  }
}

/** A caller's reason may be anything: an error of another call, or a Proxy that throws. */
function aborted(): VKitTraceOutcome {
  return { error: sanitizeCause({ name: 'AbortError' }) }
}

/** An error's message may contain the gateway's text, which may contain the identity. */
function failure(reason: unknown): VKitTraceOutcome {
  if (!(reason instanceof VKitError)) return aborted()
  return { attempts: reason.attempts, ...responseDetails(reason), error: sanitizeCause(reason) }
}

/** Defines own properties, because a subscriber may have frozen the context or added setters. */
function add(context: object, details: object): void {
  for (const [name, value] of Object.entries(details)) {
    Reflect.defineProperty(context, name, { value, configurable: true, enumerable: true, writable: true })
  }
}
