import { VKitError } from '../../lib/index.js'

/** Returns the VKitError that `promise` rejects with. Throws for any other outcome. */
export async function failureOf(promise: Promise<unknown>): Promise<VKitError> {
  const error = await reasonOf(promise)
  if (VKitError.is(error)) return error
  throw new Error('expected a VKitError', { cause: error })
}

/** Returns the value of any type that `promise` rejects with. */
export async function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error('expected a rejection')
    },
    (reason: unknown) => reason,
  )
}
