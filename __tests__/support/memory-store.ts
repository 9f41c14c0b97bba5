import type { Clock } from '../../lib/index.js'
import type { StoreListener, StoreSubscription, TokenStore } from '../../lib/store/token-store.js'

type Operation = keyof TokenStore

interface Entry {
  readonly value: string
  readonly endsAt: number
}

/** A store with all methods, on an injected clock. Several clients may share it, as processes share a Redis. */
export class MemoryStore implements Required<TokenStore> {
  /** Every operation, before it is held. A test may empty it. */
  readonly operations: { readonly operation: Operation; readonly key: string }[] = []
  /** What was published, for a test that replays or alters it with `publish`. */
  readonly messages: { readonly channel: string; readonly message: string }[] = []
  /** These operations reject. */
  readonly failing = new Set<Operation>()
  /** If true, `subscribe` rejects. */
  refusesSubscriptions = false
  /** If true, `publish` resolves, and no subscription gets the message. */
  losesMessages = false
  /** If set, this holder has every lease for ever. */
  foreignHolder: string | undefined
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #records = new Map<string, Entry>()
  readonly #leases = new Map<string, Entry>()
  readonly #channels = new Map<string, Set<StoreListener>>()
  readonly #gates = new Map<Operation, Promise<void>>()

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  async get(key: string): Promise<string | undefined> {
    await this.#pass('get', key)
    return this.#valueOf(this.#records, key)
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    await this.#pass('set', key)
    this.#records.set(key, this.#entry(value, ttlMs))
  }

  async delete(key: string): Promise<void> {
    await this.#pass('delete', key)
    this.#records.delete(key)
  }

  async acquireLease(key: string, holder: string, ttlMs: number): Promise<boolean> {
    await this.#pass('acquireLease', key)
    if ((this.holderOf(key) ?? holder) !== holder) return false
    this.#leases.set(key, this.#entry(holder, ttlMs))
    return true
  }

  async releaseLease(key: string, holder: string): Promise<void> {
    await this.#pass('releaseLease', key)
    if (this.holderOf(key) === holder) this.#leases.delete(key)
  }

  async publish(channel: string, message: string): Promise<void> {
    await this.#pass('publish', channel)
    this.messages.push({ channel, message })
    if (this.losesMessages) return
    for (const listener of [...(this.#channels.get(channel) ?? [])]) listener.onMessage(message)
  }

  async subscribe(channel: string, listener: StoreListener): Promise<StoreSubscription> {
    await this.#pass('subscribe', channel)
    if (this.refusesSubscriptions) throw new Error('no subscriptions')
    // A copy, because one listener may have several subscriptions.
    const own: StoreListener = {
      onMessage: message => listener.onMessage(message),
      onLost: () => listener.onLost(),
    }
    const listeners = this.#channels.get(channel) ?? new Set()
    this.#channels.set(channel, listeners.add(own))
    const checkAlive = (): void => {
      if (!listeners.has(own)) throw new Error('the subscription has ended')
    }
    return { ping: async () => checkAlive(), close: () => void listeners.delete(own) }
  }

  /** Who has the lease of a key now. */
  holderOf(key: string): string | undefined {
    return this.foreignHolder ?? this.#valueOf(this.#leases, key)
  }

  /** How long a lease still lasts if it is not extended; undefined if it is not taken. */
  leaseMsLeft(key: string): number | undefined {
    const lease = this.#leases.get(key)
    return lease && lease.endsAt - this.#clock.monotonic()
  }

  /** The keys whose leases are taken now. */
  get leases(): readonly string[] {
    return [...this.#leases.keys()].filter(key => this.holderOf(key) !== undefined)
  }

  get subscriptions(): number {
    return [...this.#channels.values()].reduce((sum, listeners) => sum + listeners.size, 0)
  }

  /** Ends all subscriptions. With `silently`, no listener learns of it, so that only a ping can. */
  loseSubscriptions({ silently = false } = {}): void {
    const lost = [...this.#channels.values()].flatMap(listeners => {
      const own = [...listeners]
      listeners.clear()
      return own
    })
    if (!silently) for (const listener of lost) listener.onLost()
  }

  /** Delays these operations until the returned function is called. */
  hold(...operations: Operation[]): () => void {
    let open: () => void = () => undefined
    const gate = new Promise<void>(resolve => (open = resolve))
    for (const operation of operations) this.#gates.set(operation, gate)
    return () => {
      for (const operation of operations) if (this.#gates.get(operation) === gate) this.#gates.delete(operation)
      open()
    }
  }

  async #pass(operation: Operation, key: string): Promise<void> {
    this.operations.push({ operation, key })
    await this.#gates.get(operation)
    if (this.failing.has(operation)) throw new Error(`no ${operation}`)
  }

  #entry(value: string, ttlMs: number): Entry {
    return { value, endsAt: this.#clock.monotonic() + ttlMs }
  }

  #valueOf(entries: Map<string, Entry>, key: string): string | undefined {
    const entry = entries.get(key)
    return entry && entry.endsAt > this.#clock.monotonic() ? entry.value : undefined
  }
}
