import { VKitError } from '../../lib/index.js'

/** What `promise` rejects with, which must be a VKitError. */
export async function failureOf(promise: Promise<unknown>): Promise<VKitError> {
  const error = await reasonOf(promise)
  if (VKitError.is(error)) return error
  throw new Error('expected a VKitError', { cause: error })
}

/** What `promise` rejects with, whatever it is. */
export async function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error('expected a rejection')
    },
    (reason: unknown) => reason,
  )
}
