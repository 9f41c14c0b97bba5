import type { InvalidationChannels as Channels } from './invalidation-channels.js'

/**
 * Sends and receives nothing, because no subscription outlives the request that starts it. An invalidation removes the
 * record of the store, but other processes keep the token in their memory.
 */
export class InvalidationChannels implements Pick<Channels, keyof Channels> {
  readonly canPublish = false
  readonly use = (): void => undefined
  readonly publish = (): Promise<boolean> => Promise.resolve(true)
  readonly close = (): void => undefined
}
