import { TokenCache } from '../../lib/cache/token-cache.js'
import type { Clock } from '../../lib/core/clock.js'
import { Events } from '../../lib/core/events.js'
import { instant } from '../../lib/core/instant.js'
import { parseSessionResponse } from '../../lib/gateway/session-response.js'
import type { MintOptions } from '../../lib/gateway/token-minter.js'
import { SecretSource } from '../../lib/secret/secret-source.js'
import { EncryptedStore } from '../../lib/store/encrypted-store.js'
import type { TokenStore } from '../../lib/store/token-store.js'
import { FakeClock } from '../../lib/testing/index.js'
import type { MintedToken } from '../../lib/token/session-token.js'
import type { TokenCall, TokenRequest } from '../../lib/token/token-request.js'
import { afterThisTest, recordEvents } from './gateway.js'
import { MemoryStore } from './memory-store.js'
import { seededRandom } from './random.js'
import { turnOfThreads } from './threads.js'
import { untilTrue } from './until.js'

const HOUR_MS = 3_600_000
const REQUEST: TokenRequest = { identity: 'user', scopes: [] }

export interface ProcessOptions {
  /** How far its wall clock is ahead of the gateway's. */
  readonly aheadMs?: number
  readonly secret?: () => string
  readonly store?: TokenStore
  /** Called in the middle of each call of the secret provider, and of each mint. */
  readonly pause?: (what: 'secret' | 'response') => Promise<void>
}

export type FleetProcess = ReturnType<Fleet['start']>

/** Processes with one store and one gateway, whose responses a test can hold. They can have different clocks. */
export class Fleet {
  /** The gateway's clock. */
  readonly clock = new FakeClock()
  readonly store = new MemoryStore(this.clock)
  mints = 0
  /** When each token expires, by the gateway's clock. */
  readonly expiries = new Map<string, number>()
  /** Whether the gateway's responses have a `Date`. */
  hasDate = true
  #gate: Promise<void> | undefined

  /** Delays the responses to requests that are sent from now on, until the returned function is called. */
  holdResponses(): () => void {
    let open: () => void = () => undefined
    const gate = (this.#gate = new Promise<void>(resolve => (open = resolve)))
    return () => {
      if (this.#gate === gate) this.#gate = undefined
      open()
    }
  }

  /** Lets everything settle that needs no time to pass. */
  async settle(): Promise<void> {
    for (let round = 0; round < 10; round++) {
      await turnOfThreads()
      await this.clock.advance(0)
    }
  }

  /** Lets the time pass that a promise needs, for example to wait for a lease. */
  async complete<T>(promise: Promise<T>): Promise<T> {
    const state = { isDone: false }
    const done = promise.finally(() => (state.isDone = true))
    done.catch(() => undefined)
    for (await this.settle(); !state.isDone; await this.settle()) await this.clock.advance(25)
    return done
  }

  /** The tokens that the processes return now. */
  tokensOf(processes: readonly FleetProcess[]): Promise<string[]> {
    return this.complete(Promise.all(processes.map(process => process.get())))
  }

  start({ aheadMs = 0, secret = () => 'secret', store = this.store, pause }: ProcessOptions = {}) {
    const { clock: server } = this
    const clock: Clock = {
      now: () => server.now() + aheadMs,
      monotonic: () => server.monotonic(),
      sleep: (ms, signal) => server.sleep(ms, signal),
    }
    const recorded = recordEvents()
    const events = new Events(recorded.onEvent)
    const random = seededRandom()
    const read = async (): Promise<string> => {
      await pause?.('secret')
      return secret()
    }
    const source = new SecretSource({ rotates: true, read })
    const common = { clock, events, random }
    const sharedStore = new EncryptedStore({
      ...common,
      store,
      secret: source,
      endpoint: () => new URL('https://gateway.video.io/v1/sessions'),
      deadlineMs: 15_000,
    })
    const mint = async (request: TokenRequest, { deadline, onSent, gate }: MintOptions): Promise<MintedToken> => {
      await source.read(deadline)
      for (;;) {
        const entered = (await gate?.enter()) ?? 'mint'
        if (entered === 'mint') break
        const found = entered === 'wait' ? await gate?.wait() : entered
        if (found) return found
      }
      onSent?.()
      const start = instant(clock)
      const [sessionToken, expiresAtMs] = [`token-${++this.mints}`, server.now() + HOUR_MS]
      this.expiries.set(sessionToken, expiresAtMs)
      const body = { sessionToken, expiresAt: new Date(expiresAtMs).toISOString(), identity: request.identity }
      const dateMs = this.hasDate ? Math.floor(server.now() / 1_000) * 1_000 : undefined
      await (pause ? pause('response') : this.#gate)
      return parseSessionResponse({ body, dateMs }, request, { start, end: instant(clock), events })
    }
    const cache = new TokenCache({
      ...{ ...common, mint, sharedStore, medianMintMs: () => undefined },
      ...{ maxEntries: 100, refreshAhead: 0.5, deadlineMs: 15_000, timeoutMs: 5_000, maxRetries: 2 },
    })
    sharedStore.listen(cache)
    const process = {
      cache,
      sharedStore,
      events: recorded.events,
      count: (type: string): number => recorded.types().filter(each => each === type).length,
      get: async (call: Partial<TokenCall> & { readonly identity?: string } = {}): Promise<string> => {
        const { identity = 'user', ...options } = call
        const request = { ...REQUEST, identity }
        return (await cache.get(request, { mode: 'default', deadlineMs: 15_000, ...options })).sessionToken
      },
      invalidate: (token?: string): Promise<void> => cache.invalidate(REQUEST, token),
      close: async (): Promise<void> => {
        cache.close()
        await sharedStore.close()
      },
    }
    afterThisTest(process.close)
    return process
  }

  /** Starts processes that are subscribed and have the same token in memory, checked after the subscription. */
  async startWarm(count: number, options?: ProcessOptions): Promise<{ processes: FleetProcess[]; token: string }> {
    const processes = Array.from({ length: count }, () => this.start(options))
    return { processes, token: await this.warm(processes, 'user') }
  }

  /** Lets processes subscribe, and have the same token of a user in memory, checked after the subscription. Returns it. */
  async warm(processes: readonly FleetProcess[], identity: string): Promise<string> {
    let token = ''
    for (const process of processes) {
      token = await process.get({ identity })
      await process.sharedStore.flush()
      await untilTrue(() => process.count('subscription-start') === 1)
      await process.get({ identity })
      process.events.length = 0
    }
    this.store.operations.length = 0
    return token
  }
}
