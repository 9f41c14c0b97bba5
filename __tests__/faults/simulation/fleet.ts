import { TokenCache } from '../../../lib/cache/token-cache.js'
import { VKitServerError, VKitTimeoutError } from '../../../lib/core/errors.js'
import { Events } from '../../../lib/core/events.js'
import type { GatewayResponse } from '../../../lib/gateway/response.js'
import { TokenMinter, type MintOptions } from '../../../lib/gateway/token-minter.js'
import type { ExchangeRequest } from '../../../lib/gateway/transport.js'
import { SecretSource } from '../../../lib/secret/secret-source.js'
import { Leases } from '../../../lib/store/leases.js'
import type { SharedStore } from '../../../lib/store/shared-store.js'
import type { TokenStore } from '../../../lib/store/token-store.js'
import { StoreGuard } from '../../../lib/store/store-guard.js'
import type { MintedToken } from '../../../lib/token/session-token.js'
import type { TokenRequest } from '../../../lib/token/token-request.js'
import { MemoryStore } from '../../support/memory-store.js'
import { seededRandom } from '../../support/random.js'
import { SimulatedClock } from './simulated-clock.js'
import { DEADLINE_MS, TIMEOUT_MS, type SimulatedGateway } from './simulation.js'

/** How the processes of a fleet share their mints. All but `today` are worse ways, for comparison. */
export type Policy = 'today' | 'no lease' | 'all overtake' | 'lease while queued'

export interface FleetOptions {
  readonly policy: Policy
  readonly processes: number
  readonly gateway: SimulatedGateway
  /** The largest number of connections of a process. */
  readonly maxConnections?: number
}

/** How long an operation of the store takes. */
const STORE_MS = 1
const LIFETIME_MS = 3_600_000

/** Processes that share a store, with the real caches, minters and leases, and simulated time. Records are plain. */
export class Fleet {
  readonly clock = new SimulatedClock()
  readonly random = seededRandom(1)
  readonly store = new MemoryStore(this.clock)
  readonly options: FleetOptions
  readonly processes: readonly FleetProcess[]
  /** The requests that the gateway has received. */
  sent = 0
  failed = 0
  longestMs = 0

  constructor(options: FleetOptions) {
    this.options = options
    this.processes = Array.from({ length: options.processes }, () => new FleetProcess(this))
  }

  /** Every process calls for every user, at almost the same time. */
  call(users: number, { atMs = 0, name = 'user', withinMs = 20 } = {}): void {
    for (const process of this.processes)
      for (let user = 0; user < users; user++)
        this.clock.at(atMs + withinMs * this.random(), () => void process.call(`${name} ${user}`))
  }

  /** Ends some of the processes, and whatever they were doing. */
  die(processes: number): void {
    for (const process of this.processes.slice(0, processes)) process.isDead = true
  }

  /** Forgets what has been measured. */
  restart(): void {
    this.sent = this.failed = this.longestMs = 0
  }
}

export class FleetProcess {
  readonly #fleet: Fleet
  readonly #minter: TokenMinter
  readonly #cache: TokenCache
  readonly types: string[] = []
  isDead = false

  constructor(fleet: Fleet) {
    this.#fleet = fleet
    const { clock, random, options } = fleet
    const events = new Events(({ type }) => void this.types.push(type))
    const common = { clock, random, events, timeoutMs: TIMEOUT_MS }
    const { maxConnections = 400 } = options
    this.#minter = new TokenMinter({
      ...common,
      secret: new SecretSource({ rotates: false, read: () => Promise.resolve('the-app-secret') }),
      transport: { maxConnections, exchange: request => this.#exchange(request) },
    })
    const store = this.#slowStore()
    const guard = new StoreGuard({ ...common, store })
    const leases = new Leases({ ...common, store, guard })
    this.#cache = new TokenCache({
      ...common,
      ...{ maxEntries: 10_000, refreshAhead: 0.5, deadlineMs: DEADLINE_MS, maxRetries: 2 },
      mint: (request, mintOptions) => this.#mint(request, mintOptions),
      medianMintMs: () => this.#minter.medianMs,
      sharedStore: this.#plainRecords(guard, leases),
    })
  }

  get isIdle(): boolean {
    return this.#cache.inFlight === 0 && this.#minter.stats.queued === 0
  }

  async call(identity: string): Promise<void> {
    const { clock } = this.#fleet
    const startedMs = clock.monotonic()
    const isServed = await this.#cache
      .get({ identity, scopes: [] }, { mode: 'default', deadlineMs: DEADLINE_MS })
      .then(() => true)
      .catch(() => false)
    if (this.isDead) return
    if (!isServed) this.#fleet.failed++
    this.#fleet.longestMs = Math.max(this.#fleet.longestMs, clock.monotonic() - startedMs)
  }

  async #mint(request: TokenRequest, options: MintOptions): Promise<MintedToken> {
    const { gate, ...rest } = options
    if (this.#fleet.options.policy !== 'lease while queued' || !gate) return this.#minter.mint(request, options)
    for (;;) {
      const decision = await gate.enter()
      if (decision === 'mint') return this.#minter.mint(request, rest)
      const found = decision === 'wait' ? await gate.wait() : decision
      options.deadline.throwIfAborted()
      if (found) return found
    }
  }

  /** The store, as this process reaches it while it lives. */
  #slowStore(): TokenStore {
    const { clock, store } = this.#fleet
    const slowly = async <T>(task: () => Promise<T>): Promise<T> => {
      await clock.sleep(this.isDead ? Infinity : STORE_MS)
      return task()
    }
    return {
      get: key => slowly(() => store.get(key)),
      set: (key, value, ttlMs) => slowly(() => store.set(key, value, ttlMs)),
      delete: key => slowly(() => store.delete(key)),
      acquireLease: (key, holder, ttlMs) => slowly(() => store.acquireLease(key, holder, ttlMs)),
      releaseLease: (key, holder) => slowly(() => store.releaseLease(key, holder)),
    }
  }

  #plainRecords(guard: StoreGuard, leases: Leases): SharedStore {
    const { policy } = this.#fleet.options
    const check: SharedStore['check'] = async ({ identity }) => {
      const record = await guard.get(identity)
      return typeof record === 'string' ? (JSON.parse(record) as MintedToken) : 'absent'
    }
    const nothing = async (): Promise<undefined> => undefined
    return {
      listen: () => undefined,
      ...{ check, invalidate: nothing, remove: nothing, flush: nothing, close: nothing },
      read: async request => {
        const stored = await check(request)
        return typeof stored === 'string' ? undefined : stored
      },
      write: async ({ identity }, minted) => {
        const change = guard.set(identity, JSON.stringify(minted), LIFETIME_MS)
        await change.value
        return change
      },
      lease: async ({ identity }) => {
        const lease = policy === 'no lease' ? undefined : leases.open(identity)
        return lease && policy === 'all overtake' ? { ...lease, overtake: async () => 'unavailable' } : lease
      },
    }
  }

  async #exchange({ body, deadline, onDispatch }: ExchangeRequest): Promise<GatewayResponse> {
    const { clock, random, options } = this.#fleet
    const { identity } = JSON.parse(body) as { identity: string }
    if (this.isDead) await clock.sleep(Infinity)
    onDispatch?.()
    this.#fleet.sent++
    const { status, latencyMs, onEnd } = options.gateway({ atMs: clock.monotonic(), identity, random })
    const isLate = latencyMs > TIMEOUT_MS
    const cancelled = new AbortController()
    const stop = deadline.onAbort(() => cancelled.abort())
    await clock.sleep(this.isDead ? Infinity : Math.min(latencyMs, TIMEOUT_MS), cancelled.signal)
    stop()
    onEnd?.()
    if (this.isDead) await clock.sleep(Infinity)
    deadline.throwIfAborted()
    if (isLate) throw new VKitTimeoutError('No complete response.')
    if (status !== 200) throw new VKitServerError('down', { status })
    const expiresAt = new Date(clock.now() + LIFETIME_MS).toISOString()
    return { status, body: { sessionToken: `token ${this.#fleet.sent}`, expiresAt, identity }, dateMs: undefined }
  }
}
