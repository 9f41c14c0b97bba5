import { TokenCache } from '../../../lib/cache/token-cache.js'
import { VKitRateLimitError, VKitServerError, VKitTimeoutError } from '../../../lib/core/errors.js'
import { Events, type VKitEvent } from '../../../lib/core/events.js'
import { VKitError } from '../../../lib/core/vkit-error.js'
import { TokenMinter } from '../../../lib/gateway/token-minter.js'
import type { GatewayResponse } from '../../../lib/gateway/response.js'
import type { ExchangeRequest, Transport } from '../../../lib/gateway/transport.js'
import { SecretSource } from '../../../lib/secret/secret-source.js'
import type { TokenCall } from '../../../lib/token/token-request.js'
import { seededRandom } from '../../support/random.js'
import { SimulatedClock } from './simulated-clock.js'

export const TIMEOUT_MS = 5_000
export const DEADLINE_MS = 15_000

/** What the gateway does with one request: when it responds, with what, and what happens then. */
export interface Treatment {
  readonly status: number
  readonly latencyMs: number
  readonly retryAfterMs?: number
  readonly onEnd?: () => void
}

export interface GatewayCall {
  readonly atMs: number
  readonly identity: string
  readonly random: () => number
}

export type SimulatedGateway = (call: GatewayCall) => Treatment

export interface Outcome {
  readonly identity: string
  readonly startedMs: number
  readonly endedMs: number
  readonly error?: VKitError
}

/** A client without sockets: the real cache and minter, a function as the gateway, and simulated time. */
export class Simulation {
  readonly clock = new SimulatedClock()
  readonly random: () => number
  readonly outcomes: Outcome[] = []
  readonly events: VKitEvent[] = []
  readonly minter: TokenMinter
  readonly cache: TokenCache
  /** The lifetime of a token. */
  lifetimeMs = 3_600_000
  sent = 0
  /** When the circuit first opened. */
  openedAtMs: number | undefined
  readonly #gateway: SimulatedGateway

  constructor(gateway: SimulatedGateway, seed?: number) {
    this.random = seededRandom(seed)
    this.#gateway = gateway
    const { clock, random } = this
    const events = new Events(event => {
      this.events.push(event)
      if (event.type === 'circuit-open') this.openedAtMs ??= clock.monotonic()
    })
    const secret = new SecretSource({ rotates: false, read: () => Promise.resolve('the-app-secret') })
    const transport: Transport = { maxConnections: 400, exchange: request => this.#exchange(request) }
    this.minter = new TokenMinter({
      secret,
      timeoutMs: TIMEOUT_MS,
      transport,
      clock,
      events,
      random,
    })
    this.cache = new TokenCache({
      mint: (request, options) => this.minter.mint(request, options),
      medianMintMs: () => this.minter.medianMs,
      maxEntries: 10_000,
      refreshAhead: 0.5,
      deadlineMs: DEADLINE_MS,
      timeoutMs: TIMEOUT_MS,
      maxRetries: 2,
      clock,
      events,
      random,
    })
  }

  readonly count = (type: VKitEvent['type']): number => this.events.filter(event => event.type === type).length

  readonly call = async (identity: string, call: Partial<TokenCall> = {}): Promise<Outcome> => {
    const startedMs = this.clock.monotonic()
    const request = { identity, scopes: [] }
    const outcome = await this.cache.get(request, { mode: 'default', deadlineMs: DEADLINE_MS, ...call }).then(
      () => ({ identity, startedMs, endedMs: this.clock.monotonic() }),
      (error: unknown) => ({ identity, startedMs, endedMs: this.clock.monotonic(), error: error as VKitError }),
    )
    this.outcomes.push(outcome)
    return outcome
  }

  /** Adds new users, who call independently and so at random times. */
  newUsers(perSecond: number, { fromMs = 0, untilMs = 20_000, name = 'user' } = {}): void {
    let atMs = fromMs
    for (let i = 0; ; i++) {
      atMs -= (Math.log(1 - this.random()) / perSecond) * 1_000
      if (atMs >= untilMs) return
      this.callAt(atMs, `${name}-${fromMs}-${i}`)
    }
  }

  callAt(atMs: number, identity: string, call?: Partial<TokenCall>): void {
    this.clock.at(atMs, () => void this.call(identity, call))
  }

  /** Adds calls of that many users at the same time. */
  burst(users: number, { atMs = 1, name = 'user' } = {}): void {
    for (let i = 0; i < users; i++) this.callAt(atMs, `${name}-${i}`)
  }

  /** Adds calls of the same users in turn, again and again. */
  inTurn(users: number, perSecond: number, untilMs: number): void {
    for (let i = 0; i < (perSecond * untilMs) / 1_000; i++) this.callAt((i / perSecond) * 1_000, `user-${i % users}`)
  }

  async #exchange({ body, deadline, onDispatch }: ExchangeRequest): Promise<GatewayResponse> {
    const { clock } = this
    const { identity } = JSON.parse(body) as { identity: string }
    onDispatch?.()
    this.sent++
    const atMs = clock.monotonic()
    const { status, latencyMs, retryAfterMs, onEnd } = this.#gateway({ atMs, identity, random: this.random })
    return await new Promise<GatewayResponse>((resolve, reject) => {
      let isSettled = false
      const settle = (how: () => void): void => {
        if (isSettled) return
        isSettled = true
        stop()
        onEnd?.()
        how()
      }
      const stop = deadline.onAbort(() => settle(() => reject(deadline.reason)))
      clock.at(atMs + Math.min(latencyMs, TIMEOUT_MS), () =>
        settle(() => {
          if (latencyMs > TIMEOUT_MS) return reject(new VKitTimeoutError('No complete response.'))
          if (status === 429) return reject(new VKitRateLimitError('busy', { status, retryAfterMs }))
          if (status !== 200) return reject(new VKitServerError('down', { status, retryAfterMs }))
          const expiresAt = new Date(clock.now() + this.lifetimeMs).toISOString()
          resolve({
            status: 200,
            body: { sessionToken: `token of ${identity}`, expiresAt, identity },
            dateMs: undefined,
          })
        }),
      )
    })
  }
}
