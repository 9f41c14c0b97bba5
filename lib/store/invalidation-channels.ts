import { InvalidationChannel, type InvalidationChannelOptions } from './invalidation-channel.js'
import { tokenMacOf } from './invalidation-message.js'
import type { OwnInvalidation, ReceivedInvalidation } from './invalidation.js'
import type { StoreKeys } from './record-crypto.js'

export interface InvalidationChannelsOptions extends Omit<
  InvalidationChannelOptions,
  'keys' | 'origin' | 'onInvalidation'
> {
  readonly endpoint: () => URL
  readonly onInvalidation: (invalidation: ReceivedInvalidation) => void
}

interface KeyedChannel {
  readonly keys: StoreKeys
  readonly channel: InvalidationChannel
}

/** The channel of the current app secret and, after a rotation, that of the previous one: not all processes rotate at once. */
export class InvalidationChannels {
  readonly #options: InvalidationChannelsOptions
  #channels: readonly KeyedChannel[] = []
  #closed = false

  constructor(options: InvalidationChannelsOptions) {
    this.#options = options
  }

  /** Whether this process can tell others. */
  get canPublish(): boolean {
    const { store } = this.#options
    return store.publish && store.subscribe ? !this.#closed : false
  }

  /** Joins the processes with the app secret of these keys. */
  use(keys: StoreKeys): void {
    const [current, ...others] = this.#channels
    if (current?.keys.id === keys.id || !this.canPublish) return
    const known = others.find(other => other.keys.id === keys.id)
    const used = [known ?? { keys, channel: this.#open(keys) }, ...(current ? [current] : [])]
    for (const other of others) if (!used.includes(other)) other.channel.close()
    this.#channels = used
  }

  /** Returns whether the store accepted the messages. Never rejects. */
  async publish({ sessionToken, ...invalidation }: OwnInvalidation): Promise<boolean> {
    const sent = this.#channels.map(({ keys, channel }) => {
      const tokenMac = sessionToken === undefined ? undefined : tokenMacOf(sessionToken, keys)
      return channel.publish({ ...invalidation, tokenMac })
    })
    return (await Promise.all(sent)).every(Boolean)
  }

  close(): void {
    this.#closed = true
    for (const { channel } of this.#channels) channel.close()
    this.#channels = []
  }

  #open(keys: StoreKeys): InvalidationChannel {
    const { endpoint, onInvalidation, ...options } = this.#options
    return new InvalidationChannel({
      ...options,
      keys,
      origin: endpoint().href,
      onInvalidation: ({ tokenMac, ...invalidation }) => {
        const isToken = (text: string): boolean => tokenMacOf(text, keys) === tokenMac
        onInvalidation({ ...invalidation, isToken: tokenMac === undefined ? undefined : isToken })
      },
    })
  }
}
