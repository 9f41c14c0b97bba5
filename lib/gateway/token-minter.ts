import type { Random } from '../core/backoff.js'
import type { Clock } from '../core/clock.js'
import { untilAborted, type Deadline } from '../core/deadline.js'
import { VKitAuthenticationError, VKitTimeoutError } from '../core/errors.js'
import type { Events } from '../core/events.js'
import { instant, type Instant } from '../core/instant.js'
import { plainJson } from '../core/plain-json.js'
import { Tracing, type AddToTrace, type VKitTraceOutcome } from '../core/tracing.js'
import { copyError, responseDetails, VKitError } from '../core/vkit-error.js'
import type { SecretSource } from '../secret/secret-source.js'
import type { MintedToken } from '../token/session-token.js'
import type { AttemptLimits, TokenRequest } from '../token/token-request.js'
import { Admission, type AdmissionStats } from './admission.js'
import { outcomeOf, type AttemptOutcome } from './attempt-outcome.js'
import { CheckedSecret } from './checked-secret.js'
import type { MintGate } from './mint-gate.js'
import type { MintPriority } from './mint-priority.js'
import type { AdmittedAttempt } from './mint-queue.js'
import type { GatewayResponse } from './response.js'
import { retry, RetryBudget, type RetryPolicy } from './retry.js'
import { parseSessionResponse } from './session-response.js'
import type { Transport } from './transport.js'

export interface TokenMinterOptions {
  readonly secret: SecretSource
  /** The client's timeout of one attempt. A shorter one of a mint shows little about the gateway. */
  readonly timeoutMs: number
  readonly transport: Transport
  readonly clock: Clock
  readonly events: Events
  readonly random: Random
}

/** The options of a mint, in addition to its request. */
export interface MintOptions {
  readonly deadline: Deadline
  readonly priority: MintPriority
  /** Read before each attempt and each retry, because they may rise. */
  readonly limits: AttemptLimits
  /** Called when a request has a connection. */
  readonly onSent?: (() => void) | undefined
  /** Asked before the first attempt. */
  readonly gate?: MintGate | undefined
}

/**
 * The context of a mint on the `tracingChannel` `videokit:mint`. A mint includes its wait in the queue, all its attempts,
 * and those with a new app secret. It contains no secret, no token, no identity and no scopes.
 */
export interface VKitMintTrace extends VKitTraceOutcome {
  /** Whether it began as a refresh that no call waits for. */
  readonly background: boolean
  /** Whether it began for `getSessionTokens`. */
  readonly bulk: boolean
}

/** A mint in flight. */
interface Mint extends MintOptions {
  readonly request: TokenRequest
  /** The JSON that is sent. It contains identity and scopes, so it is also the mint's key. */
  readonly body: string
  secret: string
  /** The number of requests sent. */
  attempts: number
  /** How the last attempt failed; `not-sent` already during the attempt. */
  failedAs: AttemptOutcome['kind'] | undefined
  /** Retries in addition to the limit, for callers whose longer timeout came too late for an attempt. */
  extraRetries: number
  /** The turn that the gate has let pass, for the first attempt. */
  turn: AdmittedAttempt | undefined
  readonly addToTrace: AddToTrace<VKitMintTrace> | undefined
}

/** A token, and the response that it is from. */
interface Granted {
  readonly minted: MintedToken
  readonly response: GatewayResponse
}

/** Gets a token from the gateway: admission, then the secret, then attempts, then the parsed response. */
export class TokenMinter {
  readonly #options: TokenMinterOptions
  readonly #admission: Admission
  readonly #secret: CheckedSecret
  readonly #retryPolicy: RetryPolicy
  readonly #tracing = new Tracing<VKitMintTrace>('videokit:mint')

  constructor(options: TokenMinterOptions) {
    this.#options = options
    this.#secret = new CheckedSecret(options)
    this.#admission = new Admission({ ...options, maxConnections: () => options.transport.maxConnections })
    const { clock, events, random } = options
    this.#retryPolicy = {
      ...{ clock, events, random },
      budget: new RetryBudget(),
      mayRetry: () => this.#admission.mayRetry,
      onCircuitOpen: callback => this.#admission.onCircuitOpen(callback),
    }
  }

  get stats(): AdmissionStats {
    return this.#admission.stats
  }

  get concurrencyLimit(): number {
    return this.#admission.concurrencyLimit
  }

  /** Whether there are mints in addition to those of batches. */
  get hasCallers(): boolean {
    return this.#admission.hasCallers
  }

  /** How often the gateway has minted or refused a token. */
  get responses(): number {
    return this.#admission.responses
  }

  /** The median duration of recent successful attempts; undefined until the first one. */
  get medianMs(): number | undefined {
    return this.#admission.medianMs
  }

  /**
   * Mints a token, or returns the one with which the gate made that unnecessary.
   *
   * @throws VKitError: `attempts` is the number of requests sent, and `refusedBy` shows why none was sent.
   * `deadline.reason` if the deadline ends first.
   */
  mint(request: TokenRequest, options: MintOptions): Promise<MintedToken> {
    if (!this.#tracing.hasSubscribers) return this.#mint(request, options)
    const { level } = options.priority
    const context: VKitMintTrace = { background: level === 'refresh', bulk: level === 'bulk' }
    return this.#tracing.trace(context, addToTrace => this.#mint(request, options, addToTrace))
  }

  async #mint(
    request: TokenRequest,
    { deadline, priority, limits, onSent, gate }: MintOptions,
    addToTrace?: AddToTrace<VKitMintTrace>,
  ): Promise<MintedToken> {
    deadline.throwIfAborted()
    const { identity, scopes } = request
    const body = `{"identity":${plainJson(identity)},"scopes":${plainJson(scopes)}}`
    // Checked before the secret is read, because a refused mint should not call the provider.
    this.#admission.check(body)
    const read = this.#secret.read(deadline)
    const secret = typeof read === 'string' ? read : await read
    const mint: Mint = {
      ...{ deadline, priority, limits, onSent, gate, request, body, secret, addToTrace },
      ...{ attempts: 0, extraRetries: 0, failedAs: undefined, turn: undefined },
    }
    try {
      const found = gate && (await this.#passGate(mint, gate))
      if (found) return found
      return await this.#mintWithRetries(mint)
    } catch (error) {
      const renewed = error instanceof VKitAuthenticationError ? await this.#renewSecret(mint) : undefined
      if (renewed === undefined) throw this.#toFailure(mint, error)
      mint.secret = renewed
    }
    this.#options.events.emit({ type: 'secret-rotation' })
    return await this.#mintWithRetries(mint).catch((error: unknown) => {
      throw this.#toFailure(mint, error)
    })
  }

  /** Waits until the gate lets the mint pass. Returns the token that makes it unnecessary, if there is one. */
  async #passGate(mint: Mint, gate: MintGate): Promise<MintedToken | undefined> {
    for (let isReturning = false; ; isReturning = true) {
      const turn = await this.#admit(mint, isReturning)
      // Not longer than the deadline, although the gate may still wait for the store.
      const decision = await untilAborted(gate.enter(), mint.deadline).catch(() => undefined)
      if (decision === 'mint' && !mint.deadline.aborted) {
        mint.turn = this.#admission.restart(turn)
        return undefined
      }
      this.#admission.end(turn, { kind: 'not-sent' })
      mint.deadline.throwIfAborted()
      const found = typeof decision === 'string' ? await untilAborted(gate.wait(), mint.deadline) : decision
      if (found) return found
    }
  }

  #admit({ body, deadline, priority }: Mint, isReturning: boolean): AdmittedAttempt | Promise<AdmittedAttempt> {
    return this.#admission.admit({ key: body, deadline, priority, isReturning })
  }

  #mintWithRetries(mint: Mint): Promise<MintedToken> {
    const { clock, events } = this.#options
    const started = clock.monotonic()
    const maxRetries = (): number => mint.limits.maxRetries + mint.extraRetries
    // A batch finds the rate of the gateway, and its retries must not exceed it.
    const retriesRateLimited = (): boolean => mint.priority.level !== 'bulk'
    const limits = { maxRetries, retriesRateLimited, deadline: mint.deadline }
    return retry(() => this.#attempt(mint), this.#retryPolicy, limits).then(({ minted, response }) => {
      const details = { attempts: mint.attempts, ...responseDetails(response), status: response.status }
      mint.addToTrace?.(details)
      events.emit({ type: 'mint', durationMs: clock.monotonic() - started, ...details })
      return minted
    })
  }

  async #attempt(mint: Mint): Promise<Granted> {
    const { deadline, secret, limits } = mint
    const admission = mint.turn ?? this.#admit(mint, false)
    mint.turn = undefined
    const admitted = admission instanceof Promise ? await admission : admission
    const { timeoutMs } = limits
    try {
      // The gateway may have refused the secret while the attempt waited for a slot.
      this.#secret.check(secret)
      const start = instant(this.#options.clock)
      const response = await this.#exchange(mint, timeoutMs)
      const minted = this.#parse(response, mint, start)
      mint.attempts++
      // The gateway may accept with this secret what it refused with the previous one.
      if (this.#secret.recordAccepted(secret)) this.#admission.forgetUnauthenticated()
      this.#admission.end(admitted, { kind: 'success' })
      return { minted, response }
    } catch (error) {
      const shortMs = timeoutMs < this.#options.timeoutMs ? timeoutMs : undefined
      const isUnsent = mint.failedAs === 'not-sent'
      const outcome: AttemptOutcome = isUnsent ? { kind: 'not-sent' } : outcomeOf(error, deadline, shortMs)
      mint.failedAs = outcome.kind
      if (error instanceof VKitTimeoutError && timeoutMs < limits.timeoutMs) mint.extraRetries++
      if (outcome.kind !== 'not-sent') mint.attempts++
      if (error instanceof VKitAuthenticationError) this.#secret.recordRefused(secret, admitted, error)
      this.#admission.end(admitted, outcome)
      throw error
    }
  }

  #exchange(mint: Mint, timeoutMs: number): Promise<GatewayResponse> {
    const { secret, request, body, deadline, onSent } = mint
    const { identity } = request
    mint.failedAs = undefined
    const onNotSent = (): void => void (mint.failedAs = 'not-sent')
    return this.#options.transport.exchange({
      secret,
      identity,
      body,
      deadline,
      timeoutMs,
      onDispatch: onSent,
      onNotSent,
    })
  }

  #parse(response: GatewayResponse, { request }: Mint, start: Instant): MintedToken {
    const { clock, events } = this.#options
    try {
      return parseSessionResponse(response, request, { start, end: instant(clock), events })
    } catch (error) {
      throw copyError(error, responseDetails(response))
    }
  }

  async #renewSecret(mint: Mint): Promise<string | undefined> {
    try {
      return await this.#secret.renew(mint.secret, mint.deadline)
    } catch (error) {
      throw this.#toFailure(mint, error)
    }
  }

  /** Returns the error for the caller. Records the failure if it is the mint's own. */
  #toFailure({ body, secret, deadline, attempts, failedAs, addToTrace }: Mint, error: unknown): unknown {
    addToTrace?.({ attempts })
    if (!(error instanceof VKitError)) return error
    const isSecretRefused = error instanceof VKitAuthenticationError && this.#secret.isRefused(secret)
    const isEndedByCaller = deadline.aborted || failedAs === 'cut-off'
    const isUnsent = failedAs === 'not-sent' || error.refusedBy !== undefined || error.code === 'VKIT_CONFIG'
    if (!isEndedByCaller && !isUnsent && !isSecretRefused) this.#admission.recordFailedMint(body, error)
    return copyError(error, { attempts })
  }
}
