import type { Clock } from '../core/clock.js'
import { instant, type Instant, type Lifetime } from '../core/instant.js'
import { parseExpiry } from '../token/expiry.js'
import type { SessionToken } from '../token/session-token.js'

/** When a token was minted, by the gateway's clock. Never known for a token whose expiry cannot be read. */
export function mintedAtMs({ expiresAt }: Pick<SessionToken, 'expiresAt'>, lifetimeMs: number): number {
  return (parseExpiry(expiresAt) ?? NaN) - lifetimeMs
}

/** The gateway's time, known from a token that it minted for this process. */
export class ServerTime {
  readonly #clock: Clock
  #known: { readonly ms: number; readonly at: Instant } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Learns it from a token whose `lifetime` is by the gateway's clock. */
  learn(token: SessionToken, lifetime: Lifetime): void {
    const ms = mintedAtMs(token, lifetime.ms)
    if (!Number.isNaN(ms)) this.#known = { ms, at: lifetime.start }
  }

  /** The current time by the local clocks and, if known, by the gateway's; the later one if the local clocks differ. */
  read(): { now: Instant; serverNowMs: number | undefined } {
    const now = instant(this.#clock)
    if (!this.#known) return { now, serverNowMs: undefined }
    const { ms, at } = this.#known
    return { now, serverNowMs: ms + Math.max(now.wall - at.wall, now.monotonic - at.monotonic) }
  }
}
