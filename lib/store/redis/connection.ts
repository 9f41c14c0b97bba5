/** The commands of a client. A reply can have any type, because a client can be told to convert replies. */
export interface RedisCommands {
  /** GETRANGE from the first byte. */
  getRange(key: string, lastByte: number): Promise<unknown>
  set(key: string, value: string, ttlMs: number): Promise<unknown>
  delete(key: string): Promise<unknown>
  evalSha(sha1: string, key: string, args: readonly string[]): Promise<unknown>
  eval(script: string, key: string, args: readonly string[]): Promise<unknown>
  publish(channel: string, message: string): Promise<unknown>
  /** Creates a connection of its own, and does not connect it yet. May throw. */
  createSubscriber(): Subscriber | Promise<Subscriber>
}

/** A connection for one subscription. It never reconnects, and does not keep the process alive. */
export interface Subscriber {
  /** Connects and subscribes. `onLost` is called for every sign of trouble, with an error or without. */
  start(channel: string, listener: SubscriberListener): Promise<unknown>
  ping(): Promise<unknown>
  /** Closes the connection at once, in any state. */
  end(): void
}

export interface SubscriberListener {
  readonly onMessage: (message: Buffer) => void
  readonly onLost: (error?: unknown) => void
}

/** Whether all of these are methods of an object. A getter of the object may throw. */
export function canDo(client: object, methods: readonly string[]): boolean {
  return methods.every(name => typeof Reflect.get(client, name) === 'function')
}
