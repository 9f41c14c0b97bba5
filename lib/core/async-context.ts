import { AsyncResource } from 'node:async_hooks'

/** Returns `task`, so that it always runs in the async context of this call. */
export function bindContext<T>(task: () => T): () => T {
  return AsyncResource.bind<() => T, undefined>(task, 'VKitSecretProvider')
}
