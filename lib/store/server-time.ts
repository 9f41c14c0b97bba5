import type { Clock } from '../core/clock.js'
import { instant, type Instant, type Lifetime } from '../core/instant.js'
import { parseExpiry } from '../token/expiry.js'

/** The gateway's time, learned from a token that it minted for this process. */
export class ServerTime {
  readonly #clock: Clock
  #known: { readonly ms: number; readonly at: Instant } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Takes it from a token whose `lifetime` is by the gateway's time. */
  learn(expiresAt: string, lifetime: Lifetime): void {
    const expiresAtMs = parseExpiry(expiresAt)
    if (expiresAtMs !== undefined) this.#known = { ms: expiresAtMs - lifetime.ms, at: lifetime.start }
  }

  /** Now, by our clocks and, where it is known, by the gateway's; the later one where our clocks disagree. */
  read(): { now: Instant; serverNowMs: number | undefined } {
    const now = instant(this.#clock)
    if (!this.#known) return { now, serverNowMs: undefined }
    const { ms, at } = this.#known
    return { now, serverNowMs: ms + Math.max(now.wall - at.wall, now.monotonic - at.monotonic) }
  }
}
