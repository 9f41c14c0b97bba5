import { MAX_RECORD_LENGTH } from '../max-record-length.js'
import type { StoreListener, StoreSubscription } from '../token-store.js'
import type { Subscriber } from './connection.js'

/** A server that accepts connections but does not respond would otherwise collect one connection per attempt. */
const OPENING_LIMIT_MS = 5_000

/** Resolves when the messages of `channel` arrive. If they cannot, it closes the connection and rejects. */
export async function openSubscription(
  subscriber: Subscriber,
  channel: string,
  listener: StoreListener,
): Promise<StoreSubscription> {
  let state: 'opening' | 'open' | 'ended' = 'opening'
  const end = (): void => {
    if (state === 'ended') return
    state = 'ended'
    subscriber.end()
  }
  const opened = new Promise<void>((resolve, reject) => {
    const onLost = (error: unknown = new Error('The connection has ended.')): void => {
      const wasOpen = state === 'open'
      reject(error)
      end()
      if (wasOpen) listener.onLost()
    }
    const timer = setTimeout(onLost, OPENING_LIMIT_MS, new Error('Redis does not respond.')).unref()
    const onMessage = (message: Buffer): void => {
      if (state !== 'ended' && message.length <= MAX_RECORD_LENGTH) listener.onMessage(message.toString())
    }
    subscriber
      .start(channel, { onMessage, onLost })
      .then(() => {
        if (state === 'opening') state = 'open'
        resolve()
      }, onLost)
      .finally(() => clearTimeout(timer))
  })
  await opened
  return { ping: () => subscriber.ping(), close: end }
}
