import type { Clock } from '../core/clock.js'
import { Deadline } from '../core/deadline.js'
import { VKitTimeoutError } from '../core/errors.js'
import { onAbort } from '../core/on-abort.js'
import { SingleFlight } from '../core/single-flight.js'
import { copyError } from '../core/vkit-error.js'

/** How long a caller waits, and what aborts the wait. */
export interface WaitOptions {
  readonly deadlineMs: number
  readonly signal?: AbortSignal | undefined
}

/** What a flight knows of itself. */
export interface Flight {
  readonly deadline: Deadline
  /** False once the flight has been forgotten: its result is for those who waited, and is not kept. */
  readonly isCurrent: () => boolean
  /** Whether its request has been sent. Until then its result is as new as that of any later request. */
  isSent: boolean
  /** Whether the result must be minted, and not come from the shared store. */
  mustMint: boolean
}

/**
 * Work that several callers wait for, at most one per key.
 *
 * Each waits with its own signal and deadline, and leaves without ending it; it has a deadline of its own.
 */
export class Flights<T> {
  readonly #clock: Clock
  readonly #flights = new SingleFlight<T>()
  readonly #inFlight = new Map<Promise<T>, Flight>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many are pending, including those that were forgotten. */
  get size(): number {
    return this.#inFlight.size
  }

  /** The flight that a call with this key would join. */
  get(key: string): Flight | undefined {
    const flight = this.#flights.get(key)
    return flight && this.#inFlight.get(flight)
  }

  /** Joins the flight of this key, or starts one. Its failure is handled even if no call waits for it. */
  join(key: string, deadlineMs: number, task: (flight: Flight) => Promise<T>): Promise<T> {
    const running = this.#flights.get(key)
    if (running) return running
    const deadline = this.#startDeadline(deadlineMs)
    const state = { deadline, isCurrent: () => false, isSent: false, mustMint: false }
    const flight = this.#flights.run(key, isCurrent => task(Object.assign(state, { isCurrent })))
    this.#track(flight, state)
    return flight
  }

  /** Runs a flight that no other caller can join, and that ends when its caller leaves. */
  async runUnshared({ signal, deadlineMs }: WaitOptions, task: (deadline: Deadline) => Promise<T>): Promise<T> {
    if (signal?.aborted) throw signal.reason
    const deadline = this.#startDeadline(deadlineMs)
    const flight = task(deadline)
    this.#track(flight, { deadline, isCurrent: () => false, isSent: false, mustMint: true })
    const stop = signal && onAbort(signal, () => deadline.cancel(signal.reason))
    try {
      return await flight
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      throw copyError(error)
    } finally {
      stop?.()
    }
  }

  /** The outcome of a flight; a failure as an error object of this caller's own. Leaving it does not end it. */
  wait(flight: Promise<T>, { signal, deadlineMs }: WaitOptions): Promise<T> {
    // A listener to events may have aborted it since the call began.
    if (signal?.aborted) return Promise.reject(signal.reason as Error)
    const flightEndsFirst = (this.#inFlight.get(flight)?.deadline.remainingMs() ?? 0) <= deadlineMs
    // Most callers set no signal or deadline, and thousands of them may wait.
    if (!signal && flightEndsFirst) return flight.catch(throwCopy)
    const own = flightEndsFirst ? undefined : this.#startDeadline(deadlineMs)
    return new Promise<T>((resolve, reject) => {
      const settle = (how: () => void): void => {
        stop?.()
        own?.clear()
        how()
      }
      const leave = (each: { readonly reason: unknown }) => (): void => settle(() => reject(each.reason))
      const stop = signal && onAbort(signal, leave(signal))
      own?.onAbort(leave(own))
      flight.then(
        result => settle(() => resolve(result)),
        (error: unknown) => settle(() => reject(copyError(error as Error))),
      )
    })
  }

  /** Lets new callers start afresh; callers already waiting still settle. */
  forget(key: string): void {
    this.#flights.forget(key)
  }

  /** Ends them all. */
  cancel(reason: Error): void {
    for (const { deadline } of this.#inFlight.values()) deadline.cancel(reason)
    this.#flights.clear()
  }

  #startDeadline(ms: number): Deadline {
    return new Deadline(this.#clock, ms, () => new VKitTimeoutError(`No session token came within ${ms} ms.`))
  }

  #track(flight: Promise<T>, state: Flight): void {
    this.#inFlight.set(flight, state)
    const cleanUp = (): void => {
      state.deadline.clear()
      this.#inFlight.delete(flight)
    }
    flight.then(cleanUp, cleanUp)
  }
}

function throwCopy(error: unknown): never {
  throw copyError(error)
}
