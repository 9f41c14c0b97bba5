import { describe, expect, it } from '@jest/globals'
import { VKitServerError, VKitTimeoutError } from '../../../lib/core/errors.js'
import { CacheHarness } from '../../support/cache.js'
import { failureOf } from '../../support/failure.js'

const HOUR = 3_600_000
const unavailable = (): Error => new VKitServerError('down', { status: 503, attempts: 3 })

describe('two clocks', () => {
  it('serves no expired token when the wall clock was set back an hour', async () => {
    const h = new CacheHarness()
    await h.get()
    await h.clock.advance(HOUR / 2)
    h.clock.setWall(h.clock.now() - HOUR)
    await h.clock.advance(HOUR / 2)
    expect(await h.getText()).toBe('token-2')
  })

  it('serves no expired token when the wall clock was set forward an hour', async () => {
    const h = new CacheHarness()
    await h.get()
    h.clock.setWall(h.clock.now() + HOUR)
    expect(await h.getText()).toBe('token-2')
  })

  it('serves no expired token after the machine slept for an hour', async () => {
    const h = new CacheHarness()
    await h.get()
    h.clock.suspend(HOUR)
    expect(await h.getText()).toBe('token-2')
  })

  it.each(['set back', 'set forward', 'asleep'])('serves no expired token while minting fails (%s)', async what => {
    const h = new CacheHarness()
    await h.get()
    h.failure = unavailable
    if (what === 'set back') {
      h.clock.setWall(h.clock.now() - HOUR)
      await h.clock.advance(HOUR)
    } else if (what === 'set forward') h.clock.setWall(h.clock.now() + HOUR)
    else h.clock.suspend(HOUR)
    await expect(h.get()).rejects.toMatchObject({ code: 'VKIT_UNAVAILABLE' })
    expect(h.count('served-while-failing')).toBe(0)
  })
})

describe('refresh ahead', () => {
  it('does not mint before four tenths of the lifetime have passed', async () => {
    const h = new CacheHarness()
    await h.get()
    await h.clock.advance(0.4 * HOUR - 1)
    expect(await h.getText()).toBe('token-1')
    expect(h.mints).toHaveLength(1)
  })

  it('returns the cached token immediately while one background flight runs', async () => {
    const h = new CacheHarness()
    await h.get()
    await h.clock.advance(HOUR / 2)
    h.manual = true
    expect(await Promise.all([h.getText(), h.getText(), h.getText()])).toEqual(['token-1', 'token-1', 'token-1'])
    expect(await h.getText()).toBe('token-1')
    expect(h.mints).toHaveLength(2)
    expect(h.count('refresh')).toBe(1)

    h.mints[1]?.succeed()
    await h.settle()
    expect(await h.getText()).toBe('token-2')
  })

  it('starts up to a fifth earlier at random, which spreads the refreshes of tokens minted together', async () => {
    const h = new CacheHarness()
    const identities = Array.from({ length: 200 }, (_, i) => `user-${i}`)
    for (const identity of identities) await h.get(identity)
    const refreshed: number[] = []
    for (let part = 0.38; part < 0.525; part += 0.02) {
      await h.clock.advance(part * HOUR - h.clock.monotonic())
      for (const identity of identities) await h.get(identity)
      refreshed.push(h.count('refresh'))
    }
    expect(refreshed[0]).toBe(0)
    expect(refreshed[1]).toBeLessThan(20)
    expect(refreshed[3]).toBeGreaterThan(20)
    expect(refreshed[3]).toBeLessThan(180)
    expect(refreshed.at(-1)).toBe(200)
  })

  it('uses no timer, and does not refresh the token of a user who left', async () => {
    const h = new CacheHarness()
    await h.get()
    expect(h.clock.sleepers).toBe(0)
    await h.clock.advance(10 * HOUR)
    expect(h.mints).toHaveLength(1)
  })

  it('begins at the fraction that refreshAhead sets', async () => {
    const h = new CacheHarness({ refreshAhead: 0.9, minValidityMs: 0 })
    await h.get()
    await h.clock.advance(0.72 * HOUR - 1)
    await h.get()
    expect(h.count('refresh')).toBe(0)
    await h.clock.advance(0.18 * HOUR + 1)
    await h.get()
    expect(h.count('refresh')).toBe(1)
  })
})

describe('minValidityMs', () => {
  it('makes a call wait for a new token when less than 60 s of an hour are left', async () => {
    const h = new CacheHarness()
    await h.get()
    await h.clock.advance(HOUR - 60_000)
    expect(await h.getText()).toBe('token-1')
    await h.settle()

    const other = new CacheHarness()
    await other.get()
    await other.clock.advance(HOUR - 59_999)
    expect(await other.getText()).toBe('token-2')
  })

  it('can be set for the client', async () => {
    const h = new CacheHarness({ minValidityMs: 45 * 60_000 })
    await h.get()
    await h.clock.advance(15 * 60_000 + 1)
    expect(await h.getText()).toBe('token-2')
  })

  it('can be set for a call to more than the default', async () => {
    const h = new CacheHarness()
    await h.get()
    await h.clock.advance(1_000)
    expect(await h.getText('user', { minValidityMs: HOUR - 1_000 })).toBe('token-1')
    expect(await h.getText('user', { minValidityMs: HOUR - 999 })).toBe('token-2')
  })

  it('can be set for a call to less than the default', async () => {
    const h = new CacheHarness()
    await h.get()
    await h.clock.advance(HOUR - 1)
    h.failure = unavailable
    expect(await h.getText('user', { minValidityMs: 0 })).toBe('token-1')
    await h.settle()
    await h.clock.advance(1)
    await expect(h.get('user', { minValidityMs: 0 })).rejects.toMatchObject({ code: 'VKIT_UNAVAILABLE' })
  })

  it('causes no event for a new token that is valid for exactly this time', async () => {
    const h = new CacheHarness()
    await h.get('user', { minValidityMs: HOUR })
    expect(h.count('short-lived')).toBe(0)
  })

  it('returns a new token that is valid for a shorter time, with an event, after one mint', async () => {
    const h = new CacheHarness()
    h.lifetimeMs = 60_000
    expect(await h.getText('user', { minValidityMs: HOUR })).toBe('token-1')
    expect(h.events).toContainEqual({ type: 'short-lived', validityMs: 60_000, minValidityMs: HOUR })
    expect(h.mints).toHaveLength(1)
  })

  it.each([
    ['client', HOUR],
    ['client', 60_000],
    ['call', HOUR],
    ['call', 60_000],
  ])(
    'not below the lifetime of a token does not make every call mint (set for the %s to %d ms)',
    async (where, minValidityMs) => {
      const h = new CacheHarness(where === 'client' ? { minValidityMs } : {})
      h.lifetimeMs = 60_000
      for (let i = 0; i < 5; i++) {
        await h.get('user', where === 'call' ? { minValidityMs } : {})
        await h.clock.advance(1)
      }
      expect(h.mints).toHaveLength(1)
    },
  )
})

describe('lifetimes', () => {
  const YEAR = 365 * 24 * HOUR
  it.each([1_000, 5_000, 60_000, 15 * 60_000, HOUR, 24 * HOUR, 30 * 24 * HOUR, YEAR])(
    'of %d ms: five calls mint once, a refresh comes in time, and a new token replaces an expired one',
    async lifetimeMs => {
      const h = new CacheHarness()
      h.lifetimeMs = lifetimeMs
      for (let i = 0; i < 5; i++) expect(await h.getText()).toBe('token-1')
      expect(h.mints).toHaveLength(1)

      await h.clock.advance(lifetimeMs / 2)
      expect(await h.getText()).toBe('token-1')
      await h.settle()
      expect(await h.getText()).toBe('token-2')
      expect(h.mints).toHaveLength(2)

      await h.clock.advance(lifetimeMs)
      expect(await h.getText()).toBe('token-3')
    },
  )

  it.each([0, -1, NaN, Infinity])('of %d ms are not cached', async lifetimeMs => {
    const h = new CacheHarness()
    h.lifetimeMs = lifetimeMs
    await h.get()
    await h.get()
    expect(h.mints).toHaveLength(2)
    expect(h.cache.size).toBe(0)
  })

  it('count from the start of the request', async () => {
    const h = new CacheHarness()
    h.manual = true
    const first = h.get()
    await h.clock.advance(10_000)
    h.mints[0]?.succeed(20_000)
    await first
    await h.clock.advance(10_000)
    const second = h.getText()
    await h.settle()
    h.mints[1]?.succeed()
    expect(await second).toBe('token-2')
  })
})

describe('a refresh that fails', () => {
  async function setUpStale(options: ConstructorParameters<typeof CacheHarness>[0] = {}): Promise<CacheHarness> {
    const h = new CacheHarness(options)
    await h.get()
    await h.clock.advance(HOUR / 2)
    h.failure = unavailable
    return h
  }

  it('does not affect the cached token, which is returned until it expires', async () => {
    const h = await setUpStale()
    while (h.clock.monotonic() < HOUR - 10_000) {
      expect(await h.getText()).toBe('token-1')
      await h.clock.advance(10_000)
    }
    await h.clock.advance(10_000)
    await expect(h.get()).rejects.toMatchObject({ code: 'VKIT_UNAVAILABLE' })
  })

  /** Calls every 100 ms, for a time. Returns when refreshes began, without jitter. */
  async function refreshTimes(h: CacheHarness, forMs: number): Promise<number[]> {
    const times: number[] = []
    for (let ms = 0; ms < forMs; ms += 100) {
      const before = h.count('refresh')
      await h.get()
      if (h.count('refresh') > before) times.push(ms)
      await h.clock.advance(100)
    }
    return times
  }

  it('waits a backoff before the next attempt, of at most 1 s at first, then twice as long, and 30 s later', async () => {
    // Half of the longest wait.
    const h = await setUpStale({ random: () => 0.5 })
    const waits = [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]
    const times = [0, ...waits.map((_, i) => waits.slice(0, i + 1).reduce((sum, ms) => sum + ms))]
    expect(await refreshTimes(h, 50_000)).toEqual(times)
  })

  it('does not lengthen the next backoff if it sent no request', async () => {
    const h = await setUpStale({ random: () => 0.5 })
    h.failure = () => new VKitServerError('down', { attempts: 0, refusedBy: 'circuit' })
    expect(await refreshTimes(h, 2_100)).toEqual([0, 500, 1_000, 1_500, 2_000])
  })

  it('neither lengthens nor forgets the backoff if the short timeout of a call ended it', async () => {
    const h = await setUpStale({ random: () => 0.5 })
    expect(await refreshTimes(h, 1_500)).toEqual([0, 500])
    h.failure = () => new VKitTimeoutError('slow', { attempts: 1 })
    await h.get('user', { minValidityMs: HOUR - 1, limits: { timeoutMs: 100, maxRetries: 0 } })
    h.failure = unavailable
    expect(await refreshTimes(h, 6_100)).toEqual([0, 2_000, 6_000])
  })

  it('waits as long as its error says, although the call with a short timeout that it fails for has sent nothing', async () => {
    const h = await setUpStale()
    h.failure = () => new VKitTimeoutError('slow', { attempts: 0, retryAfterMs: 120_000 })
    await h.get('user', { minValidityMs: HOUR - 1, limits: { timeoutMs: 100, maxRetries: 0 } })
    await h.clock.advance(119_999)
    await h.get()
    expect(h.count('refresh')).toBe(0)
    await h.clock.advance(1)
    await h.get()
    expect(h.count('refresh')).toBe(1)
  })

  it('is not repeated before Retry-After has passed', async () => {
    const h = await setUpStale()
    h.failure = () => new VKitServerError('down', { retryAfterMs: 120_000 })
    await h.get()
    await h.clock.advance(119_999)
    await h.get()
    expect(h.count('refresh')).toBe(1)
    await h.clock.advance(1)
    await h.get()
    expect(h.count('refresh')).toBe(2)
  })

  it('does not delay the mint of another identity', async () => {
    const h = await setUpStale()
    h.failure = () => new VKitServerError('down', { retryAfterMs: 120_000 })
    await h.get()
    await h.settle()
    h.failure = undefined
    expect(await h.getText('other')).toBe('token-3')
  })

  it('returns the old token to a call that would have waited, with an event', async () => {
    const h = await setUpStale()
    await h.clock.advance(HOUR / 2 - 30_000)
    expect(await h.getText()).toBe('token-1')
    expect(h.events).toContainEqual({ type: 'served-while-failing', code: 'VKIT_UNAVAILABLE', remainingMs: 30_000 })
  })

  it('does not make another call wait until the backoff ends', async () => {
    const h = await setUpStale()
    await h.clock.advance(HOUR / 2 - 30_000)
    h.failure = () => new VKitServerError('down', { retryAfterMs: 20_000 })
    await h.get()
    h.manual = true
    expect(await h.getText()).toBe('token-1')
    expect(h.mints).toHaveLength(2)
    expect(h.count('served-while-failing')).toBe(2)
  })

  it.each([
    { medianMs: undefined, waitMs: 15_000 },
    { medianMs: 100, waitMs: 15_000 },
    { medianMs: 5_000, waitMs: 20_000 },
  ])('makes a call wait $waitMs ms if it hangs and 30 s are left: $medianMs', async ({ medianMs, waitMs }) => {
    const h = await setUpStale({ medianMintMs: () => medianMs })
    h.failure = undefined
    h.manual = true
    await h.clock.advance(HOUR / 2 - 30_000)
    const call = { isSettled: false }
    const token = h.get('user', { deadlineMs: 25_000 }).finally(() => (call.isSettled = true))
    await h.clock.advance(waitMs - 1)
    expect(call.isSettled).toBe(false)
    await h.clock.advance(1)
    expect((await token).sessionToken).toBe('token-1')
    expect(h.events).toContainEqual({
      type: 'served-while-failing',
      code: 'VKIT_TIMEOUT',
      remainingMs: 30_000 - waitMs,
    })
    // The flight continues for the next caller.
    h.mints[1]?.succeed()
    expect(await h.getText()).toBe('token-2')
  })

  it.each([
    ['the mint is expected only after the token expires', { medianMs: 10_000, mode: 'default' as const }],
    ['the mint is expected when the token expires', { medianMs: 7_500, mode: 'default' as const }],
    ["the call has the cache mode 'reload'", { medianMs: 10, mode: 'reload' as const }],
  ])('makes a call wait until its deadline if it hangs and %s', async (_, { medianMs, mode }) => {
    const h = await setUpStale({ medianMintMs: () => medianMs })
    h.failure = undefined
    h.manual = true
    await h.clock.advance(HOUR / 2 - 30_000)
    const call = { isSettled: false }
    const token = h.get('user', { deadlineMs: 50_000, mode }).finally(() => (call.isSettled = true))
    await h.clock.advance(49_999)
    expect(call.isSettled).toBe(false)
    h.mints[1]?.succeed()
    expect((await token).sessionToken).toBe('token-2')
    // Once for each token.
    expect([h.count('miss'), h.count('coalesced')]).toEqual([2, 0])
  })

  describe('and whose token expires earlier than expected, because the machine sleeps', () => {
    async function setUpAsleep() {
      const h = await setUpStale({ deadlineMs: 60_000 })
      h.failure = undefined
      h.manual = true
      await h.clock.advance(HOUR / 2 - 30_000)
      const call = h.get('user', { deadlineMs: 25_000 })
      await h.settle()
      h.clock.suspend(60_000)
      return { h, call }
    }

    it('makes a call wait for a new one', async () => {
      const { h, call } = await setUpAsleep()
      await h.clock.advance(16_000)
      h.mints[1]?.succeed()
      expect((await call).sessionToken).toBe('token-2')
    })

    it('makes a call wait until its deadline', async () => {
      const { h, call } = await setUpAsleep()
      const failure = failureOf(call)
      let isSettled = false
      void failure.then(() => (isSettled = true))
      await h.clock.advance(24_999)
      expect(isSettled).toBe(false)
      await h.clock.advance(1)
      expect((await failure).code).toBe('VKIT_TIMEOUT')
      expect(h.mints).toHaveLength(2)
      h.cache.close()
    })

    it.each([
      ['VKIT_TIMEOUT', () => new VKitTimeoutError('slow', { attempts: 3 })],
      ['VKIT_UNAVAILABLE', unavailable],
    ])('makes a call fail with the mint: %s', async (code, error) => {
      const { h, call } = await setUpAsleep()
      const failure = failureOf(call)
      h.mints[1]?.fail(error())
      expect((await failure).code).toBe(code)
      await h.settle()
      expect([h.mints.length, h.cache.inFlight]).toEqual([2, 0])
    })
  })

  it('rejects a call that would have waited if no retry can fix the failure', async () => {
    const { VKitAuthenticationError } = await import('../../../lib/core/errors.js')
    const h = await setUpStale()
    await h.clock.advance(HOUR / 2 - 30_000)
    h.failure = () => new VKitAuthenticationError('no', { status: 401 })
    await expect(h.get()).rejects.toMatchObject({ code: 'VKIT_UNAUTHENTICATED' })
  })

  it('does not evict the token after a 401', async () => {
    const { VKitAuthenticationError } = await import('../../../lib/core/errors.js')
    const h = await setUpStale()
    h.failure = () => new VKitAuthenticationError('no', { status: 401 })
    await h.get()
    await h.settle()
    expect(await h.getText()).toBe('token-1')
    expect(h.cache.size).toBe(1)
  })

  it.each([403, 410])('evicts the token after a %d', async status => {
    const { VKitRequestError } = await import('../../../lib/core/errors.js')
    const h = await setUpStale()
    h.failure = () => new VKitRequestError('gone', { status })
    expect(await h.getText()).toBe('token-1')
    await h.settle()
    expect(h.cache.size).toBe(0)
    expect(h.events).toContainEqual({ type: 'eviction', reason: 'refused' })
    await expect(h.get()).rejects.toMatchObject({ status })
  })

  it('backs off and keeps the old token if the new one must not be cached', async () => {
    const h = await setUpStale()
    h.failure = undefined
    h.manual = true
    await h.get()
    await h.settle()
    h.mints[1]?.succeedUncacheably()
    await h.settle()
    for (let i = 0; i < 50; i++) expect(await h.getText()).toBe('token-1')
    expect(h.mints.length).toBeLessThan(5)
  })

  it('backs off after an unexpected error too', async () => {
    const h = await setUpStale()
    h.failure = () => new TypeError('a bug')
    for (let i = 0; i < 50; i++) {
      expect(await h.getText()).toBe('token-1')
      await h.settle()
    }
    expect(h.mints.length).toBeLessThan(10)
  })
})
