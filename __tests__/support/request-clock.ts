import { AsyncLocalStorage } from 'node:async_hooks'
import { FakeClock } from '../../lib/testing/index.js'

/** A request at the edge. */
export interface EdgeRequest {
  isEnded: boolean
}

/** A fake clock with timers that belong to requests, as at the edge: those of an ended request never end. */
export class RequestClock extends FakeClock {
  readonly #requests = new AsyncLocalStorage<EdgeRequest>()

  /** Runs `task` in a new request. */
  during<T>(task: () => T): { readonly request: EdgeRequest; readonly result: T } {
    const request = { isEnded: false }
    return { request, result: this.#requests.run(request, task) }
  }

  override sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const request = this.#requests.getStore()
    const slept = super.sleep(ms, signal)
    return new Promise(resolve => {
      void slept.then(() => {
        if (!request?.isEnded) resolve()
      })
    })
  }
}
