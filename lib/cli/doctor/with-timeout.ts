/** The limit for each step of a check. */
export const TIMEOUT_MS = 5_000

/** Rejects with a `TimeoutError` if `work` does not settle in time. */
export function withTimeout<T>(work: T | PromiseLike<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const onTimeout = (): void => reject(Object.assign(new Error('timed out'), { name: 'TimeoutError' }))
    const timer = setTimeout(onTimeout, TIMEOUT_MS)
    Promise.resolve(work)
      .then(resolve, reject)
      .finally(() => clearTimeout(timer))
  })
}
