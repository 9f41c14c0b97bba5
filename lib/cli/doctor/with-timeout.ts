import { setTimeout as sleep } from 'node:timers/promises'

/** The limit for each step of a check. */
export const TIMEOUT_MS = 5_000

/** Rejects with a `TimeoutError` if `work` does not settle in time. */
export async function withTimeout<T>(work: T | PromiseLike<T>): Promise<T> {
  const timeout = sleep(TIMEOUT_MS).then(() => {
    throw Object.assign(new Error('timed out'), { name: 'TimeoutError' })
  })
  return Promise.race([work, timeout])
}
