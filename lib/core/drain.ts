import { callAfter, type Clock } from './clock.js'
import { ProcessHold } from './process-hold.js'

/** A wait for pending work to end. It keeps the process alive, because nothing else might. */
export class Drain {
  readonly #clock: Clock
  readonly #ended: Promise<void>
  #end!: () => void

  /** `idle` resolves when all work has ended. */
  constructor(clock: Clock, idle: Promise<void>) {
    this.#clock = clock
    const ended = new Promise<void>(resolve => (this.#end = resolve))
    void idle.then(this.#end)
    this.#ended = new ProcessHold().during(ended)
  }

  /** Ends the wait, whatever is pending. */
  end(): void {
    this.#end()
  }

  /** Resolves when the wait has ended, at the latest after `ms`. The earliest end applies to all callers. */
  async wait(ms: number): Promise<void> {
    const stop = callAfter(this.#clock, ms, this.#end)
    await this.#ended
    stop()
  }
}
