import { describe, expect, it } from '@jest/globals'
import { TokenEntries } from '../../../lib/cache/token-entries.js'
import { VKitPermissionError, VKitRequestError, VKitResponseError, VKitServerError } from '../../../lib/core/errors.js'
import { Events } from '../../../lib/core/events.js'
import { instant } from '../../../lib/core/instant.js'
import { FakeClock } from '../../../lib/testing/index.js'
import type { MintedToken } from '../../../lib/token/session-token.js'
import { recordEvents } from '../../support/gateway.js'
import { seededRandom } from '../../support/random.js'

const HOUR_MS = 3_600_000

function setUp({ maxEntries = 10 } = {}) {
  const clock = new FakeClock()
  const { events, onEvent } = recordEvents()
  const entries = new TokenEntries({
    maxEntries,
    refreshAhead: 0.5,
    clock,
    events: new Events(onEvent),
    random: seededRandom(),
  })
  const mint = (sessionToken: string, ms = HOUR_MS): MintedToken => ({
    token: { sessionToken, expiresAt: '2040-01-01T00:00:00Z', identity: 'user', scopes: [] },
    lifetime: { start: instant(clock), ms },
  })
  return { clock, events, entries, mint }
}

describe('the entries of a cache', () => {
  it.each([
    ['has expired', 0],
    ['never expires', Infinity],
  ])('do not store a token that %s', (_, ms) => {
    const { entries, mint } = setUp()
    expect(entries.set('key', mint('a', ms))).toBe(false)
    expect(entries.size).toBe(0)
  })

  it('are never valid for longer than their lifetime, by a clock with fractions', () => {
    const { entries, mint } = setUp()
    const { token } = mint('a')
    entries.set('key', { token, lifetime: { start: { wall: Infinity, monotonic: 0.9 }, ms: 10 } })
    expect(entries.peek('key')?.remainingMs({ wall: 0, monotonic: 10.9 })).toBeLessThanOrEqual(0)
  })

  it('do not store a token of unknown lifetime, and keep the existing one', () => {
    const { entries, mint } = setUp()
    entries.set('key', mint('a'))
    const { token } = mint('b')
    expect(entries.set('key', { token })).toBe(false)
    expect(entries.peek('key')?.token.sessionToken).toBe('a')
  })

  it('evict the least recently used one, with an event, which no other removal has', () => {
    const { entries, events, mint } = setUp({ maxEntries: 2 })
    entries.set('first', mint('a'))
    entries.set('second', mint('b'))
    entries.use('first')
    entries.set('third', mint('c'))
    expect([entries.peek('first'), entries.peek('second'), entries.peek('third')].map(Boolean)).toEqual([
      true,
      false,
      true,
    ])
    entries.set('third', mint('d'))
    entries.delete('third')
    entries.clear()
    expect(events).toEqual([{ type: 'eviction', reason: 'capacity' }])
  })

  it.each([
    ['403', new VKitPermissionError('no', { status: 403 }), true],
    ['410', new VKitRequestError('gone', { status: 410 }), true],
    ['404', new VKitRequestError('no such route', { status: 404 }), false],
    ["a proxy's 403", new VKitResponseError('a page', { status: 403, retryable: true }), false],
    ['503', new VKitServerError('down', { status: 503 }), false],
    ['an unknown failure', new TypeError('a bug'), false],
  ])('lose a token only after a revocation: %s', (_, error, isRevoked) => {
    const { entries, mint } = setUp()
    entries.set('key', mint('a'))
    expect(entries.recordFailure('key', error)).toBe(isRevoked)
    expect(entries.size).toBe(isRevoked ? 0 : 1)
  })

  it('have nothing to revoke without an entry', () => {
    expect(setUp().entries.recordFailure('key', new VKitPermissionError('no', { status: 403 }))).toBe(false)
  })
})

describe("another process's token", () => {
  it('is better than no token and than one that expires earlier', () => {
    const { entries, mint } = setUp()
    expect(entries.isBetterThanCached('key', mint('theirs'))).toBe(true)
    entries.set('key', mint('ours', HOUR_MS / 2))
    expect(entries.isBetterThanCached('key', mint('theirs'))).toBe(true)
  })

  it('is not better if this process minted it, it does not expire later, or it is valid for too short a time', () => {
    const { entries, mint } = setUp()
    entries.set('key', mint('ours'))
    expect(entries.isBetterThanCached('key', mint('ours', 2 * HOUR_MS))).toBe(false)
    expect(entries.isBetterThanCached('key', mint('theirs', HOUR_MS / 2))).toBe(false)
    expect(entries.isBetterThanCached('key', mint('theirs'))).toBe(false)
    expect(entries.isBetterThanCached('other', mint('theirs', 0))).toBe(false)
    const half = mint('theirs')
    expect(entries.isBetterThanCached('other', half, HOUR_MS - 1)).toBe(true)
    const { token } = half
    expect(entries.isBetterThanCached('other', { token })).toBe(false)
  })
})

describe('the fallback while minting fails', () => {
  const down = new VKitServerError('down')

  it('is the cached token until it expires, with an event', async () => {
    const { clock, entries, events, mint } = setUp()
    entries.set('key', mint('a'))
    await clock.advance(HOUR_MS - 1_000)
    expect(entries.staleFallback('key', down)?.sessionToken).toBe('a')
    expect(events).toEqual([{ type: 'served-while-failing', code: 'VKIT_UNAVAILABLE', remainingMs: 1_000 }])
    await clock.advance(1_000)
    expect(entries.staleFallback('key', down)).toBeUndefined()
  })

  it('is undefined without a cached token, and after a failure that no retry can fix', () => {
    const { entries, events, mint } = setUp()
    expect(entries.staleFallback('key', down)).toBeUndefined()
    entries.set('key', mint('a'))
    expect(entries.staleFallback('key', new VKitRequestError('bad'))).toBeUndefined()
    expect(entries.staleFallback('key', new TypeError('a bug'))).toBeUndefined()
    expect(events).toEqual([])
  })
})
