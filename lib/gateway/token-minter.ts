import type { Random } from '../core/backoff.js'
import type { Clock } from '../core/clock.js'
import type { Deadline } from '../core/deadline.js'
import { VKitAuthenticationError, VKitRateLimitError } from '../core/errors.js'
import type { Events } from '../core/events.js'
import { instant } from '../core/instant.js'
import { plainJson } from '../core/plain-json.js'
import { copyError, VKitError } from '../core/vkit-error.js'
import type { SecretSource } from '../secret/secret-source.js'
import type { MintedToken } from '../token/session-token.js'
import type { TokenRequest } from '../token/token-request.js'
import { CircuitBreaker, type CircuitState } from './circuit-breaker.js'
import { isForeignPage } from './response-errors.js'
import { retry, RetryBudget } from './retry.js'
import { parseSessionResponse } from './session-response.js'
import type { ExchangeRequest, Transport } from './transport.js'

export interface TokenMinterOptions {
  readonly secret: SecretSource
  readonly maxRetries: number
  /** The client's: a call with a shorter deadline says less about the gateway. */
  readonly deadlineMs: number
  readonly transport: Transport
  readonly clock: Clock
  readonly events: Events
  readonly random: Random
}

interface MintCall {
  readonly deadline: Deadline
  readonly onSent: (() => void) | undefined
}

/** Gets a token from the gateway: secret, then circuit, then attempts, then the parsed answer. */
export class TokenMinter {
  readonly #options: TokenMinterOptions
  readonly #circuit: CircuitBreaker
  readonly #budget = new RetryBudget()
  #rateLimitedUntil = -Infinity

  constructor(options: TokenMinterOptions) {
    this.#options = options
    this.#circuit = new CircuitBreaker(options)
  }

  get circuit(): CircuitState {
    return this.#circuit.state
  }

  /** Until when, by the monotonic clock, the gateway asked with `Retry-After` to be spared (429). */
  get rateLimitedUntil(): number {
    return this.#rateLimitedUntil
  }

  /** Calls `onSent` when a request has a connection. */
  async mint(request: TokenRequest, deadline: Deadline, onSent?: () => void): Promise<MintedToken> {
    deadline.throwIfAborted()
    // An open circuit should not cost the provider a question either.
    this.#circuit.check()
    const secret = await this.#options.secret.read(deadline)
    try {
      return await this.#mintWith(secret, request, { deadline, onSent })
    } catch (error) {
      if (!(error instanceof VKitAuthenticationError) || !this.#options.secret.rotates) throw error
      const renewed = await this.#options.secret.renew(deadline).catch((failure: unknown) => {
        throw copyError(failure, { attempts: error.attempts })
      })
      if (renewed === secret) throw error
      this.#options.events.emit({ type: 'secret-rotation' })
      return await this.#mintWith(renewed, request, { deadline, onSent }).catch((again: unknown) => {
        throw again instanceof VKitError ? copyError(again, { attempts: error.attempts + again.attempts }) : again
      })
    }
  }

  async #mintWith(secret: string, request: TokenRequest, { deadline, onSent }: MintCall): Promise<MintedToken> {
    const { clock, events, maxRetries, random } = this.#options
    const policy = { maxRetries, budget: this.#budget, clock, events, random }
    const started = clock.monotonic()
    let attempts = 0
    let hasFailed = false
    let isDispatched = false
    const attempt = (): Promise<MintedToken> => {
      attempts++
      isDispatched = false
      const onDispatch = (): void => {
        isDispatched = true
        onSent?.()
      }
      return this.#attempt(request, { secret, deadline, onDispatch }).catch((error: unknown) => {
        hasFailed ||= !deadline.aborted
        this.#recordRateLimit(error)
        throw error
      })
    }
    // A short deadline of the caller, our own queue and the page of a proxy or a firewall say nothing of the gateway.
    const isLocalFailure = (error: VKitError): boolean =>
      isForeignPage(error) ||
      (deadline.aborted && !hasFailed && !(isDispatched && deadline.ms >= this.#options.deadlineMs))
    const minted = await this.#circuit.run(() => retry(attempt, policy, deadline), isLocalFailure)
    events.emit({ type: 'mint', durationMs: clock.monotonic() - started, attempts })
    return minted
  }

  #recordRateLimit(error: unknown): void {
    if (!(error instanceof VKitRateLimitError) || error.retryAfterMs === undefined) return
    this.#rateLimitedUntil = Math.max(this.#rateLimitedUntil, this.#options.clock.monotonic() + error.retryAfterMs)
  }

  async #attempt(request: TokenRequest, exchange: Omit<ExchangeRequest, 'body'>): Promise<MintedToken> {
    const { clock, events, transport } = this.#options
    const start = instant(clock)
    const body = plainJson({ identity: request.identity, scopes: request.scopes })
    const response = await transport.exchange({ ...exchange, body })
    return parseSessionResponse(response, request, { start, end: instant(clock), events })
  }
}
