import { describe, expect, it } from '@jest/globals'
import { VKitPermissionError, VKitTimeoutError } from '../../../lib/core/errors.js'
import type { SharedStore } from '../../../lib/store/shared-store.js'
import { CacheHarness } from '../../support/cache.js'
import { reasonOf } from '../../support/failure.js'
import { makeSharedStore } from '../../support/shared-store.js'

const HOUR_MS = 3_600_000

interface Work {
  readonly all: Promise<unknown>[]
  readonly waitUntil: (work: Promise<unknown>) => void
  /** How each piece of work has ended so far. */
  readonly states: () => string[]
}

function collectWork(): Work {
  const all: Promise<unknown>[] = []
  const states: string[] = []
  const waitUntil = (work: Promise<unknown>): void => {
    const index = all.push(work) - 1
    states[index] = 'pending'
    work.then(
      () => (states[index] = 'done'),
      () => (states[index] = 'rejected'),
    )
  }
  return { all, waitUntil, states: () => states }
}

/** A store that is so slow that no call waits for it: its changes end when the test lets them. */
function holdStore(): { sharedStore: SharedStore; end: () => void } {
  let end: () => void = () => undefined
  const change: SharedStore['remove'] = async () => ({ settled: new Promise<void>(resolve => (end = resolve)) })
  return { sharedStore: makeSharedStore({ write: change, remove: change }), end: () => end() }
}

describe('waitUntil', () => {
  it('receives a refresh in the background, within the call', async () => {
    const h = new CacheHarness()
    await h.get()
    await h.clock.advance(HOUR_MS / 2)
    h.manual = true
    const { waitUntil, states } = collectWork()
    expect(h.cache.find({ identity: 'user', scopes: [] }, { mode: 'default', deadlineMs: 1, waitUntil })).toBeDefined()
    expect(states()).toEqual(['pending'])
    await h.settle()
    h.mints[1]?.succeed()
    await h.settle()
    expect(states()).toEqual(['done'])
  })

  it('is not called for a cached token, nor while another call refreshes it', async () => {
    const h = new CacheHarness()
    const { waitUntil, all } = collectWork()
    await h.get()
    await h.get('user', { waitUntil })
    await h.clock.advance(HOUR_MS / 2)
    h.manual = true
    await h.get()
    await h.get('user', { waitUntil })
    expect(h.count('refresh')).toBe(1)
    expect(all).toEqual([])
  })

  it('receives the mint of a call that leaves, which then completes', async () => {
    const h = new CacheHarness()
    h.manual = true
    const { waitUntil, states } = collectWork()
    const controller = new AbortController()
    const call = reasonOf(h.get('user', { signal: controller.signal, waitUntil }))
    expect(states()).toEqual(['pending'])
    await h.settle()
    controller.abort('left')
    expect(await call).toBe('left')
    await h.settle()
    expect(states()).toEqual(['pending'])
    h.mints[0]?.succeed()
    await h.settle()
    expect(states()).toEqual(['done'])
    expect(await h.getText()).toBe('token-1')
    expect(h.mints).toHaveLength(1)
  })

  it('is not called by a call that joins the mint of another', async () => {
    const h = new CacheHarness()
    h.manual = true
    const [first, second] = [collectWork(), collectWork()]
    const calls = [h.getText('user', first), h.getText('user', second)]
    await h.settle()
    h.mints[0]?.succeed()
    expect(await Promise.all(calls)).toEqual(['token-1', 'token-1'])
    expect([first.all.length, second.all.length]).toEqual([1, 0])
  })

  it('waits for the write to the shared store, for which the call does not wait', async () => {
    const { sharedStore, end } = holdStore()
    const h = new CacheHarness({ sharedStore })
    const { waitUntil, states } = collectWork()
    expect(await h.getText('user', { waitUntil })).toBe('token-1')
    await h.settle()
    expect(states()).toEqual(['pending'])
    end()
    await h.settle()
    expect(states()).toEqual(['done'])
  })

  it('waits for a store that never ends only for the deadline of the client', async () => {
    const { sharedStore } = holdStore()
    const h = new CacheHarness({ sharedStore })
    const { waitUntil, states } = collectWork()
    await h.get('user', { waitUntil })
    await h.settle()
    expect(states()).toEqual(['pending'])
    await h.clock.advance(60_000)
    expect(states()).toEqual(['done'])
  })

  it('waits for the removal of a token that the gateway has revoked', async () => {
    const { sharedStore, end } = holdStore()
    const h = new CacheHarness({ sharedStore })
    await h.get()
    h.failure = () => new VKitPermissionError('Forbidden', { status: 403, attempts: 1 })
    await h.clock.advance(HOUR_MS / 2)
    const { waitUntil, states } = collectWork()
    await h.get('user', { waitUntil })
    await h.settle()
    expect(h.count('eviction')).toBe(1)
    expect(states()).toEqual(['pending'])
    end()
    await h.settle()
    expect(states()).toEqual(['done'])
  })

  it('receives no rejection and no token', async () => {
    const h = new CacheHarness()
    const { waitUntil, all } = collectWork()
    await h.get('user', { waitUntil })
    h.failure = () => new VKitTimeoutError('Too slow.')
    expect(await reasonOf(h.get('other', { waitUntil }))).toMatchObject({ code: 'VKIT_TIMEOUT' })
    expect(await Promise.all(all)).toEqual([undefined, undefined])
  })

  it('is called once for each mint of a call, and again by each reload', async () => {
    const h = new CacheHarness()
    const { waitUntil, all } = collectWork()
    await h.get('user', { waitUntil })
    await h.get('user', { mode: 'reload', waitUntil })
    expect(all).toHaveLength(2)
  })

  it('is not called for a mint that ends with its call', async () => {
    const h = new CacheHarness()
    const { waitUntil, all } = collectWork()
    await h.get('user', { mode: 'no-store', waitUntil })
    expect(all).toEqual([])
  })

  it.each<[string, () => void]>([
    [
      'throws',
      () => {
        throw new TypeError('Illegal invocation')
      },
    ],
    ['rejects', () => Promise.reject(new Error('no longer'))],
  ])('does not harm a call if it %s', async (_, waitUntil) => {
    const h = new CacheHarness()
    expect(await h.getText('user', { waitUntil })).toBe('token-1')
    await h.clock.advance(HOUR_MS / 2)
    expect(await h.getText('user', { waitUntil })).toBe('token-1')
    await h.settle()
    expect(h.mints).toHaveLength(2)
  })
})
