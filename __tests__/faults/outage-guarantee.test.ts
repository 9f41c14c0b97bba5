import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Events } from '../../lib/core/events.js'
import { VKitConnectionError, VKitTimeoutError } from '../../lib/index.js'
import { SecretSource } from '../../lib/secret/secret-source.js'
import { FakeClock } from '../../lib/testing/index.js'
import { TokenCache } from '../../lib/cache/token-cache.js'
import type { GatewayResponse } from '../../lib/gateway/response.js'
import { TokenMinter } from '../../lib/gateway/token-minter.js'
import type { Transport } from '../../lib/gateway/transport.js'
import type { TokenCall } from '../../lib/token/token-request.js'
import { seededRandom } from '../support/random.js'

const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const TIMEOUT_MS = 5 * SECOND_MS
const DEADLINE_MS = 15 * SECOND_MS
const CALL: TokenCall = { mode: 'default', deadlineMs: DEADLINE_MS }
const WINDOW_MS = 10 * SECOND_MS
/** The default if a tenth of the lifetime is longer. */
const MIN_VALIDITY_MS = MINUTE_MS
const REFRESH_AHEAD = 0.5

interface Plan {
  readonly users: number
  readonly lifetimeMs: number
  /** Each user calls at least this often. */
  readonly gapMs: number
  readonly outageMs: number
  /** How an attempt fails during the outage: immediately, or by its timeout. */
  readonly failure: 'refused' | 'hanging'
}

/** A gateway on a fake clock, which counts the requests it receives. */
class SimulatedGateway implements Transport {
  readonly requestsAt: number[] = []
  readonly successesAt: number[] = []
  readonly maxConnections = 400
  isDown = false
  readonly #clock: FakeClock
  readonly #plan: Plan

  constructor(clock: FakeClock, plan: Plan) {
    this.#clock = clock
    this.#plan = plan
  }

  async exchange({ body }: { body: string }): Promise<GatewayResponse> {
    const { failure, lifetimeMs } = this.#plan
    this.requestsAt.push(this.#clock.monotonic())
    if (this.isDown && failure === 'refused') throw new VKitConnectionError('refused')
    if (this.isDown) {
      await this.#clock.sleep(TIMEOUT_MS)
      throw new VKitTimeoutError('timeout')
    }
    this.successesAt.push(this.#clock.monotonic())
    const { identity } = JSON.parse(body) as { identity: string }
    const expiresAt = new Date(this.#clock.now() + lifetimeMs).toISOString()
    return {
      status: 200,
      body: { sessionToken: `token-${this.requestsAt.length}`, identity, expiresAt },
      dateMs: undefined,
    }
  }

  between(from: number, to: number, times = this.requestsAt): number {
    return times.filter(at => at >= from && at < to).length
  }

  /** The most requests in any window of ten seconds. */
  peak(from: number, to: number): number {
    const windows = new Map<number, number>()
    for (const at of this.requestsAt) {
      if (at < from || at >= to) continue
      const window = Math.floor((at - from) / WINDOW_MS)
      windows.set(window, (windows.get(window) ?? 0) + 1)
    }
    return Math.max(0, ...windows.values())
  }
}

interface Simulation {
  readonly clock: FakeClock
  readonly gateway: SimulatedGateway
  readonly failuresAt: number[]
  readonly retries: () => number
  readonly run: (ms: number) => Promise<void>
}

/** Simulates many users who each call once in every `gapMs`, at random times. */
function simulate(plan: Plan): Simulation {
  const random = seededRandom()
  const clock = new FakeClock()
  const gateway = new SimulatedGateway(clock, plan)
  const events = new Events()
  const secret = new SecretSource({ rotates: false, read: () => Promise.resolve('the-app-secret') })
  const minter = new TokenMinter({
    secret,
    timeoutMs: TIMEOUT_MS,
    transport: gateway,
    clock,
    events,
    random,
  })
  const cache = new TokenCache({
    mint: (request, options) => minter.mint(request, options),
    medianMintMs: () => minter.medianMs,
    maxEntries: plan.users,
    refreshAhead: REFRESH_AHEAD,
    minValidityMs: undefined,
    deadlineMs: DEADLINE_MS,
    timeoutMs: TIMEOUT_MS,
    maxRetries: 2,
    clock,
    events,
    random,
  })
  const failuresAt: number[] = []
  const call = (user: number): void => {
    const identity = `user-${user}`
    if (cache.peek(identity, undefined, CALL)) return
    const at = clock.monotonic()
    cache.get({ identity, scopes: [] }, CALL).catch(() => failuresAt.push(at))
  }
  // Each whole second has the list of the users who call in it.
  const calendar = new Map<number, number[]>()
  const enter = (user: number, second: number): void => {
    const users = calendar.get(second)
    if (users) users.push(user)
    else calendar.set(second, [user])
  }
  for (let user = 0; user < plan.users; user++) enter(user, Math.floor((random() * plan.gapMs) / SECOND_MS))

  const run = async (ms: number): Promise<void> => {
    const until = clock.monotonic() + ms
    while (clock.monotonic() < until) {
      const second = Math.floor(clock.monotonic() / SECOND_MS)
      for (const user of calendar.get(second) ?? []) {
        call(user)
        enter(user, second + Math.max(1, Math.floor((plan.gapMs * (0.8 + random() / 5)) / SECOND_MS)))
      }
      calendar.delete(second)
      await clock.advance(SECOND_MS)
    }
  }
  return { clock, gateway, failuresAt, run, retries: () => events.count('retry') }
}

describe('the outage guarantee', () => {
  // Hundreds of thousands of calls fail beyond the bound, and half their cost is a stack that is never read.
  const { stackTraceLimit } = Error
  beforeAll(() => {
    Error.stackTraceLimit = 0
  })
  afterAll(() => {
    Error.stackTraceLimit = stackTraceLimit
  })

  it.each<Plan & { name: string }>([
    {
      name: '4,000 users, tokens of one hour, an outage of 75 minutes, far beyond the bound, connections hanging',
      users: 4_000,
      lifetimeMs: HOUR_MS,
      gapMs: 5 * MINUTE_MS,
      outageMs: 75 * MINUTE_MS,
      failure: 'hanging',
    },
    {
      name: '12,000 users, tokens of four hours, an outage of 100 minutes, all of it inside the bound, connections refused',
      users: 12_000,
      lifetimeMs: 4 * HOUR_MS,
      gapMs: 15 * MINUTE_MS,
      outageMs: 100 * MINUTE_MS,
      failure: 'refused',
    },
  ])(
    'is kept for $name',
    async ({ name, ...plan }) => {
      const boundMs = (1 - REFRESH_AHEAD) * plan.lifetimeMs - MIN_VALIDITY_MS - plan.gapMs
      const { clock, gateway, failuresAt, retries, run } = simulate(plan)
      await run(2 * plan.lifetimeMs)
      const [begin, end] = [clock.monotonic(), clock.monotonic() + plan.outageMs]
      expect(failuresAt).toEqual([])

      const retriesBefore = retries()
      gateway.isDown = true
      await run(plan.outageMs)
      const retried = retries() - retriesBefore
      gateway.isDown = false
      await run(35 * MINUTE_MS)

      const normal = (gateway.between(plan.lifetimeMs, begin) * plan.outageMs) / (begin - plan.lifetimeMs)
      const during = gateway.between(begin, end)
      const amplification = during / (during - retried)
      const insideBound = failuresAt.filter(at => at < begin + Math.min(boundMs, plan.outageMs)).length
      const firstSuccess = gateway.successesAt.find(at => at >= end) ?? Infinity
      const lastFailure = Math.max(end, ...failuresAt.slice(-1))
      const peaks = [gateway.peak(0, plan.gapMs), gateway.peak(end, clock.monotonic())] as const
      process.stdout.write(
        [
          `${name}:`,
          `  failures inside the bound of ${Math.round(boundMs / MINUTE_MS)} min: ${insideBound}; beyond it: ${failuresAt.length - insideBound}`,
          `  requests during the outage: ${during}, ${((100 * during) / normal).toFixed(1)} % of normal (${Math.round(normal)}); amplification ${amplification.toFixed(3)}`,
          `  recovery: first success after ${(firstSuccess - end) / 1000} s, last failed call after ${(lastFailure - end) / 1000} s`,
          `  peak in 10 s: warm-up ${peaks[0]}, after the outage ${peaks[1]}`,
          '',
        ].join('\n'),
      )
      expect(insideBound).toBe(0)
      // The rate of probes does not depend on the number of users.
      expect(during / (plan.outageMs / SECOND_MS)).toBeLessThanOrEqual(1.5)
      expect(amplification).toBeLessThanOrEqual(1.1)
      expect(firstSuccess - end).toBeLessThanOrEqual(5 * SECOND_MS)
      expect(lastFailure - end).toBeLessThanOrEqual(5 * SECOND_MS)
      expect(peaks[1]).toBeLessThanOrEqual(1.5 * peaks[0])
    },
    120_000,
  )
})
