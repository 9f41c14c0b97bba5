/** No check of the doctor takes longer. */
const TIMEOUT_MS = 5_000

/** Rejects with a `TimeoutError` where `answer` does not come. */
export function withTimeout<T>(work: T | PromiseLike<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = (): void => reject(Object.assign(new Error('too late'), { name: 'TimeoutError' }))
    const timer = setTimeout(late, TIMEOUT_MS)
    Promise.resolve(work)
      .then(resolve, reject)
      .finally(() => clearTimeout(timer))
  })
}
