import type { Random } from '../core/backoff.js'
import type { Clock } from '../core/clock.js'
import type { Deadline } from '../core/deadline.js'
import type { VKitAuthenticationError } from '../core/errors.js'
import type { Events } from '../core/events.js'
import type { SecretSource } from '../secret/secret-source.js'
import { FailureMemory } from './failure-memory.js'
import { FailureStreak, type FailedAttempt } from './failure-streak.js'

/** The shortest time between two calls to the provider while the gateway refuses its secret. */
const PROVIDER_PAUSE_MS = 1_000
/** The secret in use, and earlier secrets during a rotation. */
const MAX_SECRETS = 4

export interface CheckedSecretOptions {
  readonly secret: SecretSource
  readonly clock: Clock
  readonly events: Events
  readonly random: Random
}

/** The app secret, and whether the gateway accepts it: a refused secret is not sent again for every user. */
export class CheckedSecret {
  readonly #options: CheckedSecretOptions
  readonly #refused: FailureMemory
  readonly #streak = new FailureStreak()
  /** The secrets that have worked; during a rotation, two may work. */
  readonly #accepted = new Set<string>()
  /** When a call to the provider last ended without a new secret while the gateway refused the latest one. */
  #calledAt = -Infinity

  constructor(options: CheckedSecretOptions) {
    this.#options = options
    this.#refused = new FailureMemory({ ...options, refusedBy: 'secret', maxEntries: MAX_SECRETS })
  }

  /**
   * Returns the secret at once if it is known and never changes.
   *
   * @throws VKitAuthenticationError while the gateway refuses the secret; VKitConfigError or VKitTimeoutError from the
   * source.
   */
  read(deadline: Deadline): string | Promise<string> {
    const { rotates, latest } = this.#options.secret
    if (rotates || latest === undefined) return this.#readFromSource(deadline)
    this.check(latest)
    return latest
  }

  async #readFromSource(deadline: Deadline): Promise<string> {
    const { secret } = this.#options
    const known = this.#mayCallProvider() ? undefined : secret.latest
    const read = known ?? (await this.#callProvider(secret.read(deadline)))
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

  /** Returns a secret other than the refused one, or undefined if the source has none. */
  async renew(refused: string, deadline: Deadline): Promise<string | undefined> {
    const { secret } = this.#options
    if (!secret.rotates) return undefined
    if (secret.latest === refused) {
      if (!this.#mayCallProvider()) return undefined
      await this.#callProvider(secret.renew(deadline))
    }
    return secret.latest === refused ? undefined : secret.latest
  }

  /** Records that the gateway accepts this secret. Returns whether it is the first time. */
  recordAccepted(secret: string): boolean {
    const isFirstTime = !this.#accepted.has(secret)
    this.#accepted.add(secret)
    for (const oldest of this.#accepted) if (this.#accepted.size > MAX_SECRETS) this.#accepted.delete(oldest)
    this.#refused.forget(secret)
    this.#streak.recordSuccess(this.#options.clock.monotonic())
    return isFirstTime
  }

  /**
   * Records that the gateway refused this secret (401).
   *
   * If the secret has never worked, the refusal affects every user. Otherwise, the rule of the circuit decides.
   */
  recordRefused(secret: string, attempt: FailedAttempt, error: VKitAuthenticationError): void {
    const { clock, events } = this.#options
    const affectsAll = !this.#accepted.has(secret) || this.#streak.recordFailure(attempt, clock.monotonic())
    if (!affectsAll || this.isRefused(secret)) return
    this.#accepted.delete(secret)
    events.emit({ type: 'secret-backoff', retryAfterMs: Math.ceil(this.#refused.record(secret, error)) })
  }

  async #callProvider(call: Promise<string>): Promise<string> {
    try {
      return await call
    } finally {
      if (this.#isLatestRefused()) this.#calledAt = this.#options.clock.monotonic()
    }
  }

  #mayCallProvider(): boolean {
    return !this.#isLatestRefused() || this.#options.clock.monotonic() - this.#calledAt >= PROVIDER_PAUSE_MS
  }

  /** Whether the gateway refused the latest secret, no matter how long ago, and has not accepted it since. */
  #isLatestRefused(): boolean {
    const { latest } = this.#options.secret
    return latest !== undefined && this.#refused.has(latest)
  }
}
