import type { AttemptLimits } from '../token/token-request.js'

/**
 * The limits of a mint's attempts. They rise when a caller with higher limits joins the mint.
 *
 * So a caller with a short timeout or without retries does not fail the others.
 */
export class MintLimits implements AttemptLimits {
  #timeoutMs: number
  #maxRetries: number

  constructor({ timeoutMs, maxRetries }: AttemptLimits) {
    this.#timeoutMs = timeoutMs
    this.#maxRetries = maxRetries
  }

  get timeoutMs(): number {
    return this.#timeoutMs
  }

  get maxRetries(): number {
    return this.#maxRetries
  }

  /** Raises each limit to that of a joining caller. A new timeout applies from the next attempt on. */
  raise({ timeoutMs, maxRetries }: AttemptLimits): void {
    this.#timeoutMs = Math.max(this.#timeoutMs, timeoutMs)
    this.#maxRetries = Math.max(this.#maxRetries, maxRetries)
  }
}
