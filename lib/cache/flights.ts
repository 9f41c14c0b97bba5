import type { Clock } from '../core/clock.js'
import { Deadline } from '../core/deadline.js'
import { VKitTimeoutError } from '../core/errors.js'
import { LifeSign } from '../core/life-sign.js'
import { onAbort } from '../core/on-abort.js'
import { WORK_ENDS_WITH_REQUEST } from '../core/request-context.js'
import { copyError } from '../core/vkit-error.js'
import { MintLimits } from '../gateway/mint-limits.js'
import { MintPriority, type PriorityLevel } from '../gateway/mint-priority.js'
import type { StoreChange } from '../store/shared-store.js'
import type { AttemptLimits, TokenRequest } from '../token/token-request.js'

/** Work that callers wait for. */
export interface Flight {
  readonly request: TokenRequest
  readonly deadline: Deadline
  readonly priority: MintPriority
  readonly limits: MintLimits
  /** Whether the request that started it is alive; undefined if that does not matter. */
  readonly sign: LifeSign | undefined
  /** False once the flight is forgotten: its result then goes only to callers that already wait, and is not cached. */
  readonly isCurrent: () => boolean
  /** The flight of the reload that did not join this one. While that is current, the result of this one is the newest. */
  next: Flight | undefined
  /** Whether its request has been sent. Until then, its result is as new as that of any later request. */
  isSent: boolean
  /** Whether the result must be minted, and must not come from the shared store. */
  mustMint: boolean
  /** Whether a call asked for a new token for all processes. */
  isReload: boolean
  readonly startedAt: number
  /** Whether a call waits for it, or has waited. */
  isAwaited: boolean
  /** When the first of its callers needs the result, by the monotonic clock. */
  neededAt: number
  /** Called after a call has joined it. */
  onJoin: (() => void) | undefined
  /** Called when it is forgotten. */
  onForget: (() => void) | undefined
  /** The change of the shared store that follows its end; it never rejects. */
  storeChange: Promise<StoreChange | undefined> | undefined
}

/** What a caller asks of the mint of a flight. The flight does the most that any of its callers asks. */
export interface FlightDemand {
  readonly priority: PriorityLevel
  /** How long the caller can wait. */
  readonly waitMs: number
  readonly limits: AttemptLimits
}

/** The options of a new flight. */
export interface FlightOptions extends Pick<Flight, 'request' | 'mustMint' | 'isReload'>, FlightDemand {
  readonly deadlineMs: number
}

/** How a flight ended. Its callers share it, so each of them throws a copy of the error: see `resultOf`. */
export type FlightOutcome<T> =
  { readonly failed: false; readonly result: T } | { readonly failed: true; readonly error: unknown }

/** A flight that callers can wait for. */
export interface SharedFlight<T> extends Flight {
  readonly outcome: Promise<FlightOutcome<T>>
  /** The callers that may leave. A caller that leaves is removed: it does not receive the outcome. */
  readonly waiters: Set<(outcome: FlightOutcome<T>) => void>
}

/**
 * Work that several callers wait for, at most one per key.
 *
 * Each caller waits with its own signal and deadline, and may leave without ending the flight. A flight has its own
 * deadline.
 */
export class Flights<T> {
  readonly #clock: Clock
  /** The flight that a call with a key would join. */
  readonly #current = new Map<string, SharedFlight<T>>()
  readonly #pending = new Set<SharedFlight<T>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The number of pending flights, including forgotten ones. */
  get size(): number {
    this.#dropSilent()
    return this.#pending.size
  }

  /** Returns the flight that a call with this key would join. */
  get(key: string): SharedFlight<T> | undefined {
    const flight = this.#current.get(key)
    // Not by the clock: of thousands of calls in one turn of a busy process, many would start a flight.
    if (!flight?.sign?.hasEnded) return flight
    this.#current.delete(key)
    return undefined
  }

  /** Joins the flight of this key, if there is one. */
  join(key: string, { priority, limits, waitMs }: FlightDemand): SharedFlight<T> | undefined {
    const running = this.get(key)
    if (!running) return undefined
    running.priority.raise(priority)
    running.limits.raise(limits)
    running.isAwaited = true
    running.neededAt = Math.min(running.neededAt, this.#clock.monotonic() + waitMs)
    running.onJoin?.()
    return running
  }

  /** Starts the flight of a key that has none. A failure is handled even if no call waits for the flight. */
  start(key: string, options: FlightOptions, task: (flight: Flight) => Promise<T>): SharedFlight<T> {
    const isCurrent = (): boolean => {
      let latest: Flight = flight
      while (latest.next) latest = latest.next
      return this.#current.get(key) === latest
    }
    const run = async (ofTask: Flight): Promise<T> => {
      // The flight must be registered before its task starts.
      await Promise.resolve()
      try {
        return await task(ofTask)
      } finally {
        if (this.#current.get(key) === flight) this.#current.delete(key)
      }
    }
    const started = Object.assign(this.#makeFlight(options), { isCurrent })
    const flight = this.#track(started, run(started))
    this.#current.set(key, flight)
    return flight
  }

  /** Runs a flight that no other caller can join. The flight ends when its caller leaves. */
  async runUnshared(
    options: FlightOptions,
    signal: AbortSignal | undefined,
    task: (flight: Flight) => Promise<T>,
  ): Promise<T> {
    if (signal?.aborted) throw signal.reason
    const flight = this.#makeFlight(options)
    const { outcome } = this.#track(flight, task(flight))
    // The flight must not read the caller's reason, which may be the error of another call.
    const stop = signal && onAbort(signal, () => flight.deadline.cancel(new Error('The caller left.')))
    try {
      return resultOf(await outcome)
    } catch (error) {
      throw signal?.aborted ? signal.reason : error
    } finally {
      stop?.()
    }
  }

  /**
   * Waits for a flight that the caller has just joined. Rejects only if the caller leaves before its end. Resolves with
   * undefined if the request has ended that started the flight: the next flight of its key is then another.
   *
   * The flight goes on after the caller leaves.
   */
  wait(
    flight: SharedFlight<T>,
    deadlineMs: number,
    signal: AbortSignal | undefined,
  ): Promise<FlightOutcome<T> | undefined> {
    if (flight.sign) return this.#follow(flight, deadlineMs, signal)
    const endsInTime = flight.deadline.remainingMs() <= deadlineMs
    // Thousands of callers may wait, and most of them have neither a signal nor a deadline of their own.
    if (!signal && endsInTime) return flight.outcome
    // An event listener may have aborted the signal since the call began.
    if (signal?.aborted) return Promise.reject(signal.reason as Error)
    const own = endsInTime ? undefined : this.#startDeadline(deadlineMs)
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        flight.waiters.delete(end)
        stop?.()
        own?.clear()
      }
      const end = (outcome: FlightOutcome<T>): void => {
        leave()
        resolve(outcome)
      }
      const abort = (): void => {
        leave()
        reject((signal?.aborted ? signal.reason : own?.reason) as Error)
      }
      const stop = signal && onAbort(signal, abort)
      own?.onAbort(abort)
      flight.waiters.add(end)
    })
  }

  /** Like `wait`, with timers of the caller only. */
  async #follow(
    { sign, outcome }: SharedFlight<T>,
    deadlineMs: number,
    signal: AbortSignal | undefined,
  ): Promise<FlightOutcome<T> | undefined> {
    if (signal?.aborted) throw signal.reason
    const own = this.#startDeadline(deadlineMs)
    const stop = signal && onAbort(signal, () => own.cancel(signal.reason))
    try {
      return await sign?.follow(outcome, own)
    } finally {
      stop?.()
      own.clear()
    }
  }

  /** Lets new callers start a new flight. Callers that already wait still get the outcome. */
  forget(key: string): void {
    this.get(key)?.onForget?.()
    this.#current.delete(key)
  }

  /** Resolves when no flight is pending. */
  async idle(): Promise<void> {
    while (this.size > 0)
      await Promise.all([...this.#pending].map(({ sign, outcome }) => sign?.follow(outcome) ?? outcome))
  }

  /** Ends every flight with `reason`. */
  cancel(reason: Error): void {
    for (const { deadline } of this.#pending) deadline.cancel(reason)
    this.#current.clear()
  }

  /** Forgets the oldest flights whose requests have ended. Otherwise, they would use more and more memory. */
  #dropSilent(): void {
    if (!WORK_ENDS_WITH_REQUEST) return
    const isOver = ({ sign, deadline }: Flight): boolean =>
      sign?.hasEnded === true || (sign?.isSilent === true && deadline.remainingMs() === 0)
    for (const [key, flight] of this.#current) {
      if (!isOver(flight)) break
      this.#current.delete(key)
    }
    for (const flight of this.#pending) {
      if (!isOver(flight)) break
      this.#pending.delete(flight)
    }
  }

  #startDeadline(ms: number): Deadline {
    return new Deadline(this.#clock, ms, () => new VKitTimeoutError(`No session token within ${ms} ms.`))
  }

  #makeFlight({ request, deadlineMs, priority, limits, mustMint, isReload, waitMs }: FlightOptions): Flight {
    const startedAt = this.#clock.monotonic()
    return {
      request,
      deadline: this.#startDeadline(deadlineMs),
      priority: new MintPriority(priority),
      limits: new MintLimits(limits),
      sign: WORK_ENDS_WITH_REQUEST ? new LifeSign(this.#clock) : undefined,
      isCurrent: () => false,
      next: undefined,
      isSent: false,
      mustMint,
      isReload,
      startedAt,
      isAwaited: priority !== 'refresh',
      neededAt: startedAt + waitMs,
      onJoin: undefined,
      onForget: undefined,
      storeChange: undefined,
    }
  }

  #track(flight: Flight, promise: Promise<T>): SharedFlight<T> {
    this.#dropSilent()
    const waiters: SharedFlight<T>['waiters'] = new Set()
    const end = (outcome: FlightOutcome<T>): FlightOutcome<T> => {
      flight.deadline.clear()
      flight.sign?.end()
      this.#pending.delete(shared)
      for (const waiter of waiters) waiter(outcome)
      return outcome
    }
    const outcome = promise.then(
      result => end({ failed: false, result }),
      (error: unknown) => end({ failed: true, error }),
    )
    const shared: SharedFlight<T> = Object.assign(flight, { outcome, waiters })
    this.#pending.add(shared)
    return shared
  }
}

/** Returns the result of a flight. Each caller that its failure reaches gets a separate error object. */
export function resultOf<T>(outcome: FlightOutcome<T>): T {
  if (outcome.failed) throw copyError(outcome.error)
  return outcome.result
}
