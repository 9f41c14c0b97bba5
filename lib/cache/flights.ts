import type { Clock } from '../core/clock.js'
import { Deadline } from '../core/deadline.js'
import { VKitTimeoutError } from '../core/errors.js'
import { onAbort } from '../core/on-abort.js'
import { SingleFlight } from '../core/single-flight.js'
import { copyError } from '../core/vkit-error.js'
import { MintPriority, type PriorityLevel } from '../gateway/mint-priority.js'

/** How long a caller waits, and what aborts the wait. */
export interface WaitOptions {
  readonly deadlineMs: number
  readonly signal?: AbortSignal | undefined
}

/** Work that callers wait for. */
export interface Flight {
  readonly deadline: Deadline
  readonly priority: MintPriority
  /** False once the flight is forgotten: its result then goes only to callers that already wait, and is not cached. */
  readonly isCurrent: () => boolean
  /** Whether its request has been sent. Until then, its result is as new as that of any later request. */
  isSent: boolean
  /** Whether the result must be minted, and must not come from the shared store. */
  mustMint: boolean
}

/** The options of a new flight. */
export interface FlightOptions {
  readonly deadlineMs: number
  readonly priority: PriorityLevel
}

interface Waiter<T> {
  readonly resolve: (result: T) => void
  readonly reject: (error: unknown) => void
}

/**
 * Work that several callers wait for, at most one per key.
 *
 * Each caller waits with its own signal and deadline, and may leave without ending the flight. A flight has its own
 * deadline.
 */
export class Flights<T> {
  readonly #clock: Clock
  readonly #flights = new SingleFlight<T>()
  /** A caller that leaves is removed: nothing is stored for it, and it does not receive the outcome. */
  readonly #waiters = new Map<Flight, Set<Waiter<T>>>()
  readonly #byPromise = new WeakMap<Promise<T>, Flight>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The number of pending flights, including forgotten ones. */
  get size(): number {
    return this.#waiters.size
  }

  /** Returns the flight that a call with this key would join. */
  get(key: string): Flight | undefined {
    const promise = this.#flights.get(key)
    return promise && this.#byPromise.get(promise)
  }

  /** Joins the flight of this key, or starts one. A failure is handled even if no call waits for the flight. */
  join(key: string, { deadlineMs, priority }: FlightOptions, task: (flight: Flight) => Promise<T>): Flight {
    const running = this.get(key)
    if (running) {
      running.priority.raise(priority)
      return running
    }
    const flight = this.#makeFlight(deadlineMs, priority)
    this.#track(
      flight,
      this.#flights.run(key, isCurrent => task(Object.assign(flight, { isCurrent }))),
    )
    return flight
  }

  /** Runs a flight that no other caller can join. The flight ends when its caller leaves. */
  async runUnshared({ signal, deadlineMs }: WaitOptions, task: (flight: Flight) => Promise<T>): Promise<T> {
    if (signal?.aborted) throw signal.reason
    const flight = this.#makeFlight(deadlineMs, 'call')
    const promise = task(flight)
    this.#track(flight, promise)
    const stop = signal && onAbort(signal, () => flight.deadline.cancel(signal.reason))
    try {
      return await promise
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      throw copyError(error)
    } finally {
      stop?.()
    }
  }

  /**
   * Returns the outcome of a flight that the caller has just joined. Each caller gets its own error object.
   *
   * The flight goes on after the caller leaves.
   */
  wait(flight: Flight, { signal, deadlineMs }: WaitOptions): Promise<T> {
    // An event listener may have aborted the signal since the call began.
    if (signal?.aborted) return Promise.reject(signal.reason as Error)
    // Most callers need no deadline of their own, and thousands of them may wait.
    const own = flight.deadline.remainingMs() <= deadlineMs ? undefined : this.#startDeadline(deadlineMs)
    return new Promise<T>((resolve, reject) => {
      const waiters = this.#waiters.get(flight)
      const leave = (): void => {
        waiters?.delete(waiter)
        stop?.()
        own?.clear()
      }
      const waiter: Waiter<T> = {
        resolve: result => {
          leave()
          resolve(result)
        },
        reject: error => {
          leave()
          reject(error)
        },
      }
      const stop = signal && onAbort(signal, () => waiter.reject(signal.reason))
      own?.onAbort(() => waiter.reject(own.reason))
      waiters?.add(waiter)
    })
  }

  /** Lets new callers start a new flight. Callers that already wait still get the outcome. */
  forget(key: string): void {
    this.#flights.forget(key)
  }

  /** Ends every flight with `reason`. */
  cancel(reason: Error): void {
    for (const { deadline } of this.#waiters.keys()) deadline.cancel(reason)
    this.#flights.clear()
  }

  #startDeadline(ms: number): Deadline {
    return new Deadline(this.#clock, ms, () => new VKitTimeoutError(`No session token within ${ms} ms.`))
  }

  #makeFlight(deadlineMs: number, priority: PriorityLevel): Flight {
    return {
      deadline: this.#startDeadline(deadlineMs),
      priority: new MintPriority(priority),
      isCurrent: () => false,
      isSent: false,
      mustMint: false,
    }
  }

  #track(flight: Flight, promise: Promise<T>): void {
    const waiters = new Set<Waiter<T>>()
    this.#waiters.set(flight, waiters)
    this.#byPromise.set(promise, flight)
    const end = (settle: (waiter: Waiter<T>) => void): void => {
      flight.deadline.clear()
      this.#waiters.delete(flight)
      // Otherwise, the map would grow with every flight until the garbage collector removes them.
      this.#byPromise.delete(promise)
      for (const waiter of waiters) settle(waiter)
    }
    promise.then(
      result => end(({ resolve }) => resolve(result)),
      (error: unknown) => end(({ reject }) => reject(copyError(error))),
    )
  }
}
