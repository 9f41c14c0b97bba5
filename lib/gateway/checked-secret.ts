import type { Random } from '../core/backoff.js'
import type { Clock } from '../core/clock.js'
import type { Deadline } from '../core/deadline.js'
import type { VKitAuthenticationError } from '../core/errors.js'
import type { Events } from '../core/events.js'
import type { SecretSource } from '../secret/secret-source.js'
import { FailureMemory } from './failure-memory.js'
import { FailureStreak, type FailedAttempt } from './failure-streak.js'

/** While a secret is refused its provider is asked no more often than this. */
const PROVIDER_PAUSE_MS = 1_000
/** The one in use, and those before it while they are being replaced. */
const MAX_SECRETS = 4

export interface CheckedSecretOptions {
  readonly secret: SecretSource
  readonly clock: Clock
  readonly events: Events
  readonly random: Random
}

/** The app secret, and whether the gateway accepts it: one that is refused is not sent again for every user. */
export class CheckedSecret {
  readonly #options: CheckedSecretOptions
  readonly #refused: FailureMemory
  readonly #streak = new FailureStreak()
  /** Those that have worked; two may, during a rotation. */
  readonly #accepted = new Set<string>()
  /** When the provider was last asked without having another secret than one that is refused. */
  #askedAt = -Infinity

  constructor(options: CheckedSecretOptions) {
    this.#options = options
    this.#refused = new FailureMemory({ ...options, refusedBy: 'secret', maxEntries: MAX_SECRETS })
  }

  /** @throws VKitAuthenticationError while the gateway refuses the secret; VKitConfigError, VKitTimeoutError as the source does. */
  async read(deadline: Deadline): Promise<string> {
    const { secret } = this.#options
    const { latest } = secret
    const mayAsk = latest === undefined || !this.#refused.has(latest) || !this.#wasAskedLately()
    const read = mayAsk ? await this.#ask(secret.read(deadline)) : latest
    this.check(read)
    return read
  }

  /** @throws VKitAuthenticationError while the gateway refuses this secret. */
  check(secret: string): void {
    const refusal = this.#refused.refusalOf(secret)
    if (refusal) throw refusal
  }

  /** Whether the gateway refuses this secret for every user. */
  isRefused(secret: string): boolean {
    return this.#refused.refusalOf(secret) !== undefined
  }

  /** Another secret than the one that was refused, or undefined where the source has none. */
  async renew(refused: string, deadline: Deadline): Promise<string | undefined> {
    const { secret } = this.#options
    if (!secret.rotates) return undefined
    if (secret.latest === refused) {
      if (this.#refused.has(refused) && this.#wasAskedLately()) return undefined
      await this.#ask(secret.renew(deadline))
    }
    return secret.latest === refused ? undefined : secret.latest
  }

  /** Returns whether it is the first time that the gateway accepts this secret. */
  recordAccepted(secret: string): boolean {
    const isFirstTime = !this.#accepted.has(secret)
    this.#accepted.add(secret)
    const [oldest] = this.#accepted
    if (oldest !== undefined && this.#accepted.size > MAX_SECRETS) this.#accepted.delete(oldest)
    this.#refused.forget(secret)
    this.#streak.recordSuccess(this.#options.clock.monotonic())
    return isFirstTime
  }

  /** The gateway has refused it (401). That concerns every user if it never worked, else by the rule of the circuit. */
  recordRefused(secret: string, attempt: FailedAttempt, error: VKitAuthenticationError): void {
    const { clock, events } = this.#options
    const concernsAll = !this.#accepted.has(secret) || this.#streak.recordFailure(attempt, clock.monotonic())
    if (!concernsAll || this.isRefused(secret)) return
    this.#accepted.delete(secret)
    events.emit({ type: 'secret-backoff', retryAfterMs: Math.ceil(this.#refused.record(secret, error)) })
  }

  async #ask(answer: Promise<string>): Promise<string> {
    try {
      return await answer
    } finally {
      const { secret, clock } = this.#options
      if (secret.latest !== undefined && this.#refused.has(secret.latest)) this.#askedAt = clock.monotonic()
    }
  }

  #wasAskedLately(): boolean {
    return this.#options.clock.monotonic() - this.#askedAt < PROVIDER_PAUSE_MS
  }
}
