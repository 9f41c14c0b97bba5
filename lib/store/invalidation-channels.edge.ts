import type { StoreKeys } from './record-crypto.js'
import type { OwnInvalidation, ReceivedInvalidation } from './invalidation.js'

export interface InvalidationChannelsOptions {
  readonly onInvalidation: (invalidation: ReceivedInvalidation) => void
  readonly [option: string]: unknown
}

/**
 * Sends and receives nothing, because no subscription outlives the request that starts it. An invalidation removes the
 * record of the store, but other processes keep the token in their memory.
 */
export class InvalidationChannels {
  readonly canPublish: boolean

  constructor(_options: InvalidationChannelsOptions) {
    this.canPublish = false
  }

  use(_keys: StoreKeys): void {
    // Nothing to join.
  }

  publish(_invalidation: OwnInvalidation): Promise<boolean> {
    return Promise.resolve(true)
  }

  close(): void {
    // Nothing is open.
  }
}
