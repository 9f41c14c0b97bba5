import type { GatewayCall, SimulatedGateway, Treatment } from './simulation.js'

/** Responses take a tenth more or less than `latencyMs`. */
export function ok(latencyMs: number, random: () => number): Treatment {
  return { status: 200, latencyMs: latencyMs * (0.9 + 0.2 * random()) }
}

export const HANGS: Treatment = { status: 0, latencyMs: Infinity }

/** Responds after `latencyMs`, which can depend on the time of the request. */
export function healthy(latencyMs: number | ((atMs: number) => number)): SimulatedGateway {
  return ({ atMs, random }) => ok(typeof latencyMs === 'number' ? latencyMs : latencyMs(atMs), random)
}

/** A share of all responses is 503. */
export function failingShare(share: number): SimulatedGateway {
  return ({ random }) => (random() < share ? { status: 503, latencyMs: 20 } : ok(20, random))
}

/** Serves up to `capacity` concurrent requests in `latencyMs`. More requests make each one proportionally slower. */
export function withCapacity(capacity: (atMs: number) => number, latencyMs: number): SimulatedGateway {
  let inside = 0
  return ({ atMs, random }) => {
    const { latencyMs: mine } = ok(latencyMs * Math.max(1, ++inside / capacity(atMs)), random)
    return { status: 200, latencyMs: mine, onEnd: () => inside-- }
  }
}

/** Applies `treatment` to the bad users, and serves the others. */
export function badFor(isBad: (identity: string) => boolean, treatment: Treatment, latencyMs = 20): SimulatedGateway {
  return ({ identity, random }) => (isBad(identity) ? treatment : ok(latencyMs, random))
}

/** Applies `treatment` to every request between the two times. */
export function downBetween(fromMs: number, untilMs: number, treatment: Treatment): SimulatedGateway {
  return ({ atMs, random }: GatewayCall) => (atMs >= fromMs && atMs < untilMs ? treatment : ok(20, random))
}

/** The same share of users, whatever the seed. */
export function shareOf(share: number): (identity: string) => boolean {
  return identity => {
    let hash = 7
    for (const char of identity) hash = Math.imul(hash, 31) + char.charCodeAt(0)
    return ((Math.imul(hash, 2654435761) >>> 8) % 1_000) / 1_000 < share
  }
}

/** Serves so many requests a second, and a reserve of `capacity` more. The others get a 429 at once. */
export function tokenBucket(
  perSecond: number,
  { capacity, retryAfterMs }: { readonly capacity: number; readonly retryAfterMs?: number | undefined },
): { readonly gateway: SimulatedGateway; readonly refused: () => number } {
  let [tokens, refilledMs, refused] = [capacity, 0, 0]
  return {
    refused: () => refused,
    gateway: ({ atMs, random }) => {
      tokens = Math.min(capacity, tokens + ((atMs - refilledMs) * perSecond) / 1_000)
      refilledMs = atMs
      if (tokens >= 1) {
        tokens--
        return ok(50, random)
      }
      refused++
      return { status: 429, latencyMs: 5, ...(retryAfterMs !== undefined && { retryAfterMs }) }
    },
  }
}
