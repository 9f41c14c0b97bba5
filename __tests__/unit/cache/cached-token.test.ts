import { describe, expect, it } from '@jest/globals'
import { VKitServerError } from '../../../lib/core/errors.js'
import { CacheHarness } from '../../support/cache.js'

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
  it('asks for nothing before four tenths of the life have passed', async () => {
    const h = new CacheHarness()
    await h.get()
    await h.clock.advance(0.4 * HOUR - 1)
    expect(await h.getText()).toBe('token-1')
    expect(h.mints).toHaveLength(1)
  })

  it('answers with the cached token at once while one background flight runs', async () => {
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

  it('is drawn up to a fifth earlier, so that tokens made together are not refreshed together', async () => {
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

  it('refreshes nothing for a user who left: there are no timers', async () => {
    const h = new CacheHarness()
    await h.get()
    expect(h.clock.sleepers).toBe(0)
    await h.clock.advance(10 * HOUR)
    expect(h.mints).toHaveLength(1)
  })

  it('begins where refreshAhead says', async () => {
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
  it('makes a call wait for a fresh token when less than 60 s of an hour are left', async () => {
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

  it('can be set for a call, and asks more of it than of others', async () => {
    const h = new CacheHarness()
    await h.get()
    await h.clock.advance(1_000)
    expect(await h.getText('user', { minValidityMs: HOUR - 1_000 })).toBe('token-1')
    expect(await h.getText('user', { minValidityMs: HOUR - 999 })).toBe('token-2')
  })

  it('can be set for a call, and asks less of it than of others', async () => {
    const h = new CacheHarness()
    await h.get()
    await h.clock.advance(HOUR - 1)
    h.failure = unavailable
    expect(await h.getText('user', { minValidityMs: 0 })).toBe('token-1')
    await h.settle()
    await h.clock.advance(1)
    await expect(h.get('user', { minValidityMs: 0 })).rejects.toMatchObject({ code: 'VKIT_UNAVAILABLE' })
  })

  it('returns a fresh token that is still shorter, with an event, and does not loop', async () => {
    const h = new CacheHarness()
    h.lifetimeMs = 60_000
    expect(await h.getText('user', { minValidityMs: HOUR })).toBe('token-1')
    expect(h.events).toContainEqual({ type: 'short-lived', validityMs: 60_000, minValidityMs: HOUR })
    expect(h.mints).toHaveLength(1)
  })

  it.each(['client', 'call'])('that no token fulfils does not make every call mint (set for the %s)', async where => {
    const h = new CacheHarness(where === 'client' ? { minValidityMs: HOUR } : {})
    h.lifetimeMs = 60_000
    for (let i = 0; i < 5; i++) await h.get('user', where === 'call' ? { minValidityMs: HOUR } : {})
    expect(h.mints).toHaveLength(1)
  })
})

describe('lifetimes', () => {
  const YEAR = 365 * 24 * HOUR
  it.each([1_000, 5_000, 60_000, 15 * 60_000, HOUR, 24 * HOUR, 30 * 24 * HOUR, YEAR])(
    'of %d ms: asked for five times, minted once; refreshed in time; renewed at the end',
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
  async function due(options: ConstructorParameters<typeof CacheHarness>[0] = {}): Promise<CacheHarness> {
    const h = new CacheHarness(options)
    await h.get()
    await h.clock.advance(HOUR / 2)
    h.failure = unavailable
    return h
  }

  it('leaves the token being served until it expires', async () => {
    const h = await due()
    while (h.clock.monotonic() < HOUR - 10_000) {
      expect(await h.getText()).toBe('token-1')
      await h.clock.advance(10_000)
    }
    await h.clock.advance(10_000)
    await expect(h.get()).rejects.toMatchObject({ code: 'VKIT_UNAVAILABLE' })
  })

  it('waits a backoff before the next try, of 1 s at most at first, 30 s in the end', async () => {
    const h = await due()
    await h.get()
    await h.settle()
    for (let i = 0; i < 200; i++) await h.get()
    expect(h.mints).toHaveLength(2)

    await h.clock.advance(1_000)
    for (let i = 0; i < 20; i++) {
      await h.get()
      await h.clock.advance(30_000)
    }
    expect(h.mints).toHaveLength(22)

    for (let ms = 0; ms < 60_000; ms += 100) {
      await h.get()
      await h.clock.advance(100)
    }
    // Full jitter up to 30 s: four on average.
    expect(h.mints.length).toBeLessThan(22 + 25)
  })

  it('without a request does not make the next backoff longer', async () => {
    const h = await due()
    h.failure = () => new VKitServerError('down', { attempts: 0, refusedBy: 'circuit' })
    for (let second = 1; second <= 60; second++) {
      await h.get()
      await h.clock.advance(1_000)
    }
    expect(h.count('refresh')).toBeGreaterThanOrEqual(60)
  })

  it('waits for as long as the gateway asked', async () => {
    const h = await due()
    h.failure = () => new VKitServerError('down', { retryAfterMs: 120_000 })
    await h.get()
    await h.clock.advance(119_999)
    await h.get()
    expect(h.count('refresh')).toBe(1)
    await h.clock.advance(1)
    await h.get()
    expect(h.count('refresh')).toBe(2)
  })

  it('backs off per entry: another identity is minted at once', async () => {
    const h = await due()
    h.failure = () => new VKitServerError('down', { retryAfterMs: 120_000 })
    await h.get()
    await h.settle()
    h.failure = undefined
    expect(await h.getText('other')).toBe('token-3')
  })

  it('serves the old token to a call that would have waited, and says so', async () => {
    const h = await due()
    await h.clock.advance(HOUR / 2 - 30_000)
    expect(await h.getText()).toBe('token-1')
    expect(h.events).toContainEqual({ type: 'served-while-failing', code: 'VKIT_UNAVAILABLE', remainingMs: 30_000 })
  })

  it('makes no call wait again until the backoff is over', async () => {
    const h = await due()
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
  ])('that hangs makes a call wait $waitMs ms for 30 s that are left: $medianMs', async ({ medianMs, waitMs }) => {
    const h = await due({ medianMintMs: () => medianMs })
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
    // The flight goes on, for the next caller.
    h.mints[1]?.succeed()
    expect(await h.getText()).toBe('token-2')
  })

  it.each([
    ['the mint is expected only after the token expires', { medianMs: 10_000, mode: 'default' as const }],
    ['the call asked for a new one', { medianMs: 10, mode: 'reload' as const }],
  ])('that hangs is waited for to the deadline where %s', async (_, { medianMs, mode }) => {
    const h = await due({ medianMintMs: () => medianMs })
    h.failure = undefined
    h.manual = true
    await h.clock.advance(HOUR / 2 - 30_000)
    const call = { isSettled: false }
    const token = h.get('user', { deadlineMs: 40_000, mode }).finally(() => (call.isSettled = true))
    await h.clock.advance(39_999)
    expect(call.isSettled).toBe(false)
    h.mints[1]?.succeed()
    expect((await token).sessionToken).toBe('token-2')
  })

  it('that hangs, and the machine slept: the call is not given an expired token, and waits on', async () => {
    const h = await due()
    h.failure = undefined
    h.manual = true
    await h.clock.advance(HOUR / 2 - 30_000)
    const token = h.getText('user', { deadlineMs: 25_000 })
    await h.settle()
    h.clock.suspend(60_000)
    await h.clock.advance(16_000)
    h.mints[1]?.succeed()
    expect(await token).toBe('token-2')
  })

  it('rejects such a call where trying again would not help', async () => {
    const { VKitAuthenticationError } = await import('../../../lib/core/errors.js')
    const h = await due()
    await h.clock.advance(HOUR / 2 - 30_000)
    h.failure = () => new VKitAuthenticationError('no', { status: 401 })
    await expect(h.get()).rejects.toMatchObject({ code: 'VKIT_UNAUTHENTICATED' })
  })

  it('with 401 does not evict', async () => {
    const { VKitAuthenticationError } = await import('../../../lib/core/errors.js')
    const h = await due()
    h.failure = () => new VKitAuthenticationError('no', { status: 401 })
    await h.get()
    await h.settle()
    expect(await h.getText()).toBe('token-1')
    expect(h.cache.size).toBe(1)
  })

  it.each([403, 410])('with %d evicts', async status => {
    const { VKitRequestError } = await import('../../../lib/core/errors.js')
    const h = await due()
    h.failure = () => new VKitRequestError('gone', { status })
    expect(await h.getText()).toBe('token-1')
    await h.settle()
    expect(h.cache.size).toBe(0)
    expect(h.events).toContainEqual({ type: 'eviction', reason: 'refused' })
    await expect(h.get()).rejects.toMatchObject({ status })
  })

  it('with a token that must not be cached backs off too, and leaves the old one', async () => {
    const h = await due()
    h.failure = undefined
    h.manual = true
    await h.get()
    await h.settle()
    h.mints[1]?.succeedUncacheably()
    await h.settle()
    for (let i = 0; i < 50; i++) expect(await h.getText()).toBe('token-1')
    expect(h.mints.length).toBeLessThan(5)
  })

  it('by a fault of ours backs off too', async () => {
    const h = await due()
    h.failure = () => new TypeError('a bug')
    for (let i = 0; i < 50; i++) {
      expect(await h.getText()).toBe('token-1')
      await h.settle()
    }
    expect(h.mints.length).toBeLessThan(10)
  })
})
