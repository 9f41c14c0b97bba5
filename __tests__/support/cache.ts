import { TokenCache, type TokenCacheOptions } from '../../lib/cache/token-cache.js'
import type { Deadline } from '../../lib/core/deadline.js'
import { Events, type VKitEvent } from '../../lib/core/events.js'
import { instant } from '../../lib/core/instant.js'
import type { MintGate } from '../../lib/gateway/mint-gate.js'
import type { MintPriority } from '../../lib/gateway/mint-priority.js'
import type { MintOptions } from '../../lib/gateway/token-minter.js'
import { FakeClock } from '../../lib/testing/index.js'
import type { MintedToken, SessionToken } from '../../lib/token/session-token.js'
import type { AttemptLimits, Scope, TokenCall, TokenRequest } from '../../lib/token/token-request.js'
import { seededRandom } from './random.js'

/** A mint that the cache requested. If `manual` is set, the test settles it. */
export interface RequestedMint {
  readonly request: TokenRequest
  readonly deadline: Deadline
  readonly priority: MintPriority
  readonly limits: AttemptLimits
  /** Reports to the cache that the request was sent. */
  readonly send: () => void
  readonly succeed: (lifetimeMs?: number) => void
  /** Resolves with a token that must not be cached, such as one with an unreadable expiry. */
  readonly succeedUncacheably: () => void
  readonly fail: (error: unknown) => void
}

/** A `TokenCache` on a fake clock, with a mint function that the test controls. */
export class CacheHarness {
  readonly clock: FakeClock
  readonly events: VKitEvent[] = []
  readonly mints: RequestedMint[] = []
  readonly cache: TokenCache
  lifetimeMs = 3_600_000
  /** Whether the test settles each mint. */
  manual = false
  /** Whether the test decides when each request is sent. */
  queued = false
  /** Creates the error that later mints fail with. */
  failure: (() => Error) | undefined

  constructor(options: Partial<TokenCacheOptions> & { readonly clock?: FakeClock } = {}) {
    this.clock = options.clock ?? new FakeClock()
    this.cache = new TokenCache({
      mint: (request, options) =>
        options.gate ? this.#mintAfter(options.gate, request, options) : this.#mint(request, options),
      medianMintMs: () => undefined,
      maxEntries: 10_000,
      refreshAhead: 0.5,
      deadlineMs: 15_000,
      timeoutMs: 5_000,
      maxRetries: 2,
      random: seededRandom(),
      clock: this.clock,
      events: new Events(event => void this.events.push(event)),
      ...options,
    })
  }

  get(
    identity = 'user',
    { scopes = [], ...call }: Partial<TokenCall> & { scopes?: readonly Scope[] } = {},
  ): Promise<SessionToken> {
    return this.cache.get({ identity, scopes }, { mode: 'default', deadlineMs: 15_000, ...call })
  }

  async getText(identity?: string, call?: Parameters<CacheHarness['get']>[1]): Promise<string> {
    return (await this.get(identity, call)).sessionToken
  }

  count(type: VKitEvent['type']): number {
    return this.events.filter(event => event.type === type).length
  }

  /** Lets everything settle that needs no time to pass. */
  async settle(): Promise<void> {
    await this.clock.advance(0)
  }

  /** Mints when the gate lets the mint pass, as `TokenMinter` does. */
  async #mintAfter(gate: MintGate, request: TokenRequest, options: MintOptions): Promise<MintedToken> {
    while (!options.deadline.aborted) {
      const decision = await gate.enter()
      if (decision === 'mint') return this.#mint(request, options)
      const found = decision === 'wait' ? await gate.wait() : decision
      if (found) return found
    }
    throw options.deadline.reason
  }

  #mint(
    request: TokenRequest,
    { deadline, priority, limits, onSent = () => undefined }: MintOptions,
  ): Promise<MintedToken> {
    return new Promise((resolve, reject) => {
      const start = instant(this.clock)
      const token = (lifetimeMs: number): SessionToken => ({
        sessionToken: `token-${number}`,
        expiresAt: `in ${lifetimeMs} ms`,
        ...request,
      })
      const requested: RequestedMint = {
        request,
        deadline,
        priority,
        limits,
        send: onSent,
        succeed: (ms = this.lifetimeMs) => resolve({ token: token(ms), lifetime: { start, ms } }),
        succeedUncacheably: () => resolve({ token: token(0) }),
        fail: reject,
      }
      const number = this.mints.push(requested)
      if (!this.queued) onSent()
      deadline.signal.addEventListener('abort', () => reject(deadline.signal.reason as Error))
      if (this.failure) requested.fail(this.failure())
      else if (!this.manual) requested.succeed()
    })
  }
}
