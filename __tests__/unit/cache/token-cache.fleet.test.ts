import { describe, expect, it } from '@jest/globals'
import { VKitServerError } from '../../../lib/core/errors.js'
import { Events } from '../../../lib/core/events.js'
import { instant, later } from '../../../lib/core/instant.js'
import type { LeaseState } from '../../../lib/store/lease.js'
import type { StoredToken } from '../../../lib/store/shared-store.js'
import type { MintedToken } from '../../../lib/token/session-token.js'
import { CacheHarness } from '../../support/cache.js'
import { failureOf } from '../../support/failure.js'
import { makeSharedStore } from '../../support/shared-store.js'

const HOUR_MS = 3_600_000
const request = { identity: 'user', scopes: [] }

/** A cache that shares a store and leases with other processes, which are in the hands of the test. */
function setUp(options: ConstructorParameters<typeof CacheHarness>[0] = {}) {
  const fleet = {
    /** What a flight reads first. */
    read: undefined as MintedToken | undefined,
    /** What the store has afterwards. */
    stored: 'absent' as StoredToken,
    lease: 'taken' as LeaseState | undefined,
    gate: undefined as Promise<void> | undefined,
    /** What a flight waits for before it has read the store. */
    reading: undefined as Promise<void> | undefined,
    checks: 0,
  }
  const done: string[] = []
  const sharedStore = makeSharedStore({
    read: async () => {
      await fleet.reading
      return fleet.read
    },
    check: async () => (fleet.checks++, fleet.stored),
    write: async (_request, { token }, isReload) => {
      done.push(`${isReload ? 'reload' : 'write'} ${token.sessionToken}`)
      await fleet.gate
      return undefined
    },
    remove: async () => void done.push('remove'),
    invalidate: async () => void done.push('invalidate'),
    lease: async () => {
      const { lease } = fleet
      if (!lease) return undefined
      return {
        take: async () => (done.push('take'), fleet.lease ?? lease),
        overtake: async () => 'held',
        release: () => void done.push('release'),
        recordWait: () => undefined,
      }
    },
  })
  // Without jitter.
  const h = new CacheHarness({ sharedStore, random: () => 0.5, ...options })
  /** A token for an hour, of which this much is left. */
  const token = (sessionToken: string, leftMs = HOUR_MS): MintedToken => ({
    token: { sessionToken, expiresAt: '2031-01-01T00:00:00Z', ...request },
    lifetime: { start: later(instant(h.clock), leftMs - HOUR_MS), ms: HOUR_MS },
  })
  return { h, fleet, done, token }
}

describe('a mint of a fleet', () => {
  it('returns its token at once, and frees the lease when the store has it', async () => {
    const { h, fleet, done } = setUp()
    let written: () => void = () => undefined
    fleet.gate = new Promise(resolve => (written = resolve))
    expect(await h.getText()).toBe('token-1')
    await h.settle()
    expect(done).toEqual(['take', 'write token-1'])
    written()
    await h.settle()
    expect(done).toEqual(['take', 'write token-1', 'release'])
  })

  it('frees the lease if it fails, and stores nothing', async () => {
    const { h, done } = setUp()
    h.failure = () => new VKitServerError('down')
    expect((await failureOf(h.get())).message).toBe('down')
    await h.settle()
    expect(done).toEqual(['take', 'release'])
  })

  it('needs no lease if the processes do not coordinate, or for a reload, which tells the others to drop theirs', async () => {
    const { h, fleet, done } = setUp()
    expect(await h.getText('user', { mode: 'reload' })).toBe('token-1')
    fleet.lease = undefined
    expect(await h.getText('other')).toBe('token-2')
    expect(done).toEqual(['reload token-1', 'write token-2'])
  })

  it('neither reads nor writes the store with no-store', async () => {
    const { h, fleet, done, token } = setUp()
    fleet.read = fleet.stored = token('theirs')
    expect(await h.getText('user', { mode: 'no-store' })).toBe('token-1')
    expect(done).toEqual([])
  })

  it('is replaced by the token of the process with the lease, which is cached and not written again', async () => {
    const { h, fleet, done, token } = setUp()
    fleet.lease = 'held'
    const calls = [h.getText(), h.getText()]
    await h.clock.advance(100)
    fleet.stored = token('theirs')
    await h.clock.advance(500)
    expect(await Promise.all(calls)).toEqual(['theirs', 'theirs'])
    expect(await h.getText()).toBe('theirs')
    expect([h.mints.length, h.count('store-hit'), h.count('hit'), h.count('failure')]).toEqual([0, 1, 1, 0])
    expect(done).toEqual(['take', 'release'])
  })

  it('is not replaced by a stored token that is valid for a shorter time than its caller needs', async () => {
    const { h, fleet, token } = setUp()
    fleet.read = fleet.stored = token('theirs', HOUR_MS / 2)
    expect(await h.getText('user', { minValidityMs: HOUR_MS / 2 + 1 })).toBe('token-1')
    expect([h.count('store-hit'), fleet.checks]).toEqual([0, 1])
  })

  it('is made for a caller to whom the stored token of a flight that it joined is of no use', async () => {
    const { h, fleet, token } = setUp()
    fleet.read = token('theirs', HOUR_MS / 2)
    const calls = [h.getText(), h.getText('user', { minValidityMs: HOUR_MS / 2 + 1 })]
    expect(await Promise.all(calls)).toEqual(['theirs', 'token-1'])
    expect(await h.getText()).toBe('token-1')
  })

  it('replaces a cached token that is valid for too short a time, without a check or a message', async () => {
    const { h, done, fleet } = setUp()
    fleet.lease = undefined
    await h.get()
    await h.clock.advance(1_000)
    expect(await h.getText('user', { minValidityMs: HOUR_MS - 999 })).toBe('token-2')
    expect([done, fleet.checks]).toEqual([['write token-1', 'write token-2'], 0])
  })

  it.each([
    ['tells the others to drop theirs if it is a reload', 'reload', ['invalidate']],
    ['tells the others nothing if it is not a reload', 'default', []],
  ] as const)('that another process invalidates %s', async (_, mode, expected) => {
    const { h, fleet, done } = setUp()
    fleet.lease = undefined
    h.manual = true
    const waiting = h.getText('user', { mode })
    await h.settle()
    expect(h.cache.onInvalidation({ request, ageMs: 0, covers: () => false })).toBe(false)
    h.mints[0]?.succeed()
    expect(await waiting).toBe('token-1')
    expect([done, h.cache.size]).toEqual([expected, 0])
  })

  it('with reload does not use the stored token that another flight is about to return', async () => {
    const { h, fleet, token } = setUp({
      events: new Events(event => {
        if (event.type === 'store-hit') reloaded.push(h.getText('user', { mode: 'reload' }))
      }),
    })
    const reloaded: Promise<string>[] = []
    fleet.read = token('theirs')
    expect(await h.getText()).toBe('theirs')
    expect(await Promise.all(reloaded)).toEqual(['token-1'])
  })

  it('that is forgotten frees its lease if it was sent, so that the next one need not wait for it', async () => {
    const { h, done } = setUp()
    h.manual = true
    const waiting = h.getText()
    await h.settle()
    await h.cache.invalidate(request)
    expect(done).toEqual(['take', 'release', 'invalidate'])
    h.mints[0]?.succeed()
    expect(await waiting).toBe('token-1')
    expect(done.filter(each => each.startsWith('write'))).toEqual([])
  })

  it('that is forgotten before it is sent keeps its lease until its end', async () => {
    const { h, done } = setUp()
    h.queued = h.manual = true
    const waiting = h.getText()
    await h.settle()
    await h.cache.invalidate(request)
    expect(done).toEqual(['take', 'invalidate'])
    h.mints[0]?.succeed()
    expect(await waiting).toBe('token-1')
    await h.settle()
    expect(done).toEqual(['take', 'invalidate', 'release'])
  })

  it('removes the record of a token that the gateway has revoked', async () => {
    const { h, done } = setUp()
    await h.get()
    h.failure = () => new VKitServerError('gone', { status: 410, retryable: false })
    await h.clock.advance(HOUR_MS / 2)
    expect(await h.getText()).toBe('token-1')
    await h.settle()
    expect(done).toEqual(['take', 'write token-1', 'release', 'take', 'remove', 'release'])
    expect(h.cache.size).toBe(0)
  })
})

describe('a refresh of a fleet', () => {
  it.each([
    [0, 500],
    [0.5, 1_000],
  ])('that another process makes keeps the cached token, and looks again later: %d, %d ms', async (random, laterMs) => {
    const { h, fleet, token } = setUp({ random: () => random })
    await h.get()
    await h.clock.advance(HOUR_MS / 2)
    fleet.lease = 'held'
    expect(await h.getText()).toBe('token-1')
    await h.clock.advance(laterMs - 1)
    expect(await h.getText()).toBe('token-1')
    expect(h.count('refresh')).toBe(1)
    fleet.read = token('theirs')
    await h.clock.advance(1)
    expect(await h.getText()).toBe('token-1')
    await h.settle()
    expect(await h.getText()).toBe('theirs')
    expect([h.mints.length, h.count('refresh'), h.count('lease-wait'), h.cache.inFlight]).toEqual([1, 2, 0, 0])
  })

  it('is not postponed if its token was removed meanwhile: it waits, and caches nothing', async () => {
    const { h, fleet, token } = setUp()
    await h.get()
    await h.clock.advance(HOUR_MS / 2)
    fleet.lease = 'held'
    await h.get()
    await h.cache.invalidate(request)
    fleet.stored = token('theirs')
    await h.clock.advance(1_000)
    expect([h.cache.size, h.cache.inFlight]).toEqual([0, 0])
  })

  it('is not postponed if its token was evicted meanwhile: it waits for the token of the other process', async () => {
    const { h, fleet, token } = setUp({ maxEntries: 1 })
    await h.get()
    await h.clock.advance(HOUR_MS / 2)
    let read: () => void = () => undefined
    fleet.reading = new Promise(resolve => (read = resolve))
    await h.get()
    fleet.reading = undefined
    await h.get('other')
    fleet.lease = 'held'
    read()
    await h.settle()
    fleet.stored = token('theirs')
    await h.clock.advance(1_000)
    const cached = h.cache.peek('user', undefined, { mode: 'default', deadlineMs: 15_000 })
    expect(cached?.sessionToken).toBe('theirs')
    expect([h.mints.length, h.cache.inFlight]).toEqual([2, 0])
  })

  it('that a call joins is minted in time for the call, although another process has the lease', async () => {
    const { h, fleet } = setUp()
    await h.get()
    await h.clock.advance(HOUR_MS / 2)
    fleet.lease = 'held'
    await h.get()
    const joined = h.getText('user', { minValidityMs: HOUR_MS - 1, deadlineMs: 1_000 })
    await h.clock.advance(500)
    expect(h.mints).toHaveLength(2)
    expect(await joined).toBe('token-2')
  })

  it('is not started again while it is pending, although a check has replaced its token by one that is due too', async () => {
    const { h, fleet, done, token } = setUp()
    await h.get()
    await h.clock.advance(HOUR_MS / 2)
    h.manual = true
    await h.get()
    await h.settle()
    fleet.stored = token('theirs', 0.55 * HOUR_MS)
    h.cache.onGapEnd()
    expect([await h.getText(), await h.getText()]).toEqual(['theirs', 'theirs'])
    h.mints[1]?.succeed()
    await h.settle()
    expect([h.mints.length, h.count('refresh')]).toEqual([2, 1])
    expect(done.filter(each => each.includes('token'))).toEqual(['write token-1', 'write token-2'])
  })

  it('takes a longer stored token, and mints if the stored one is its own or shorter', async () => {
    const { h, fleet, token } = setUp()
    await h.get()
    await h.clock.advance(HOUR_MS / 2)
    fleet.read = fleet.stored = token('theirs', HOUR_MS / 4)
    await h.get()
    await h.settle()
    expect(await h.getText()).toBe('token-2')
    await h.clock.advance(HOUR_MS / 2)
    fleet.read = token('longer')
    await h.get()
    await h.settle()
    expect(await h.getText()).toBe('longer')
  })
})
