import type { Clock } from '../../../lib/core/clock.js'

interface Timer {
  readonly at: number
  readonly wake: () => void
}

const NEVER: Timer = { at: Infinity, wake: () => undefined }

/** A clock for simulations. It jumps from one timer to the next, and supports many timers. */
export class SimulatedClock implements Clock {
  #monotonic = 0
  readonly #timers: Timer[] = []

  now(): number {
    return Date.UTC(2030, 0) + this.#monotonic
  }

  monotonic(): number {
    return this.#monotonic
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms <= 0 || signal?.aborted) return Promise.resolve()
    return new Promise(resolve => {
      this.at(this.#monotonic + ms, resolve)
      if (signal) signal.onabort = () => resolve()
    })
  }

  /** Calls `wake` at that time. The clock advances only after everything that follows from the call. */
  at(moment: number, wake: () => void): void {
    const timer = { at: moment, wake }
    let place = this.#timers.push(timer) - 1
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (this.#get(parent).at <= moment) break
      this.#timers[place] = this.#get(parent)
      place = parent
    }
    this.#timers[place] = timer
  }

  async run(untilMs: number): Promise<void> {
    await settle()
    while (this.#get(0).at <= untilMs) {
      this.#monotonic = Math.max(this.#monotonic, this.#get(0).at)
      while (this.#get(0).at <= this.#monotonic) this.#pop().wake()
      await settle()
    }
    this.#monotonic = Math.max(this.#monotonic, untilMs)
  }

  #get(place: number): Timer {
    return this.#timers[place] ?? NEVER
  }

  /** The timers are a heap: each is due before or with the two below it. */
  #pop(): Timer {
    const first = this.#get(0)
    const last = this.#timers.pop() ?? NEVER
    if (last === first) return first
    let place = 0
    for (;;) {
      const left = 2 * place + 1
      const child = this.#get(left + 1).at < this.#get(left).at ? left + 1 : left
      if (last.at <= this.#get(child).at) break
      this.#timers[place] = this.#get(child)
      place = child
    }
    this.#timers[place] = last
    return first
  }
}

/** Waits until every promise that can settle without the clock has settled. */
function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
