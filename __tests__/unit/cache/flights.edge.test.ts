import { describe, expect, it, jest } from '@jest/globals'
import { VKitServerError } from '../../../lib/core/errors.js'
import { Events } from '../../../lib/core/events.js'
import type { CacheHarness as Harness } from '../../support/cache.js'
import { RequestClock } from '../../support/request-clock.js'

// Everything that uses it is imported afterwards.
jest.unstable_mockModule(
  '../../../lib/core/request-context.js',
  () => import('../../../lib/core/request-context.edge.js'),
)
const { CacheHarness } = await import('../../support/cache.js')
const { failureOf, reasonOf } = await import('../../support/failure.js')
const { MAX_SILENCE_MS } = await import('../../../lib/core/request-context.js')

type CallArguments = Parameters<Harness['getText']>

/** A cache at the edge, with calls that are each made by a request of their own. */
class EdgeHarness extends CacheHarness {
  readonly requests: RequestClock

  constructor(options: ConstructorParameters<typeof CacheHarness>[0] = {}) {
    const clock = new RequestClock()
    super({ ...options, clock })
    this.requests = clock
    this.manual = true
  }

  call(...args: CallArguments): Promise<string> {
    return this.requests.during(() => this.getText(...args)).result
  }

  /** Makes a call, and ends its request before the gateway responds. */
  async callAndEnd(...args: CallArguments): Promise<void> {
    const { request } = this.requests.during(() => void this.getText(...args).catch(() => undefined))
    await this.settle()
    request.isEnded = true
  }

  /** Mints a token, and makes its time of refresh come. */
  async fillWithStale(): Promise<void> {
    const first = this.call()
    await this.settle()
    this.mints[0]?.succeed()
    await first
    await this.clock.advance(this.lifetimeMs / 2)
  }
}

it('at the edge, a flight rejects a caller whom an event listener aborts', async () => {
  const leaving = new AbortController()
  const h = new EdgeHarness({ events: new Events(() => leaving.abort('gone')) })
  expect(await reasonOf(h.call('user', { signal: leaving.signal }))).toBe('gone')
})

describe('at the edge, a flight whose request has ended', () => {
  it.each([
    ['before its request to the gateway is sent', true],
    ['after its request to the gateway is sent', false],
  ])('%s is replaced once for all of its callers', async (_when, queued) => {
    const h = new EdgeHarness()
    h.queued = queued
    await h.callAndEnd()
    const calls = Array.from({ length: 100 }, () => h.call())
    await h.clock.advance(MAX_SILENCE_MS - 1)
    expect(h.mints).toHaveLength(1)
    await h.clock.advance(1)
    expect(h.mints).toHaveLength(2)
    h.mints[1]?.succeed()
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['token-2']))
    expect([h.count('miss'), h.cache.inFlight]).toEqual([2, 0])
    // The flight and the call of the ended request have a deadline each.
    expect(h.clock.sleepers).toBe(2)
  })

  it('is replaced once by thousands of later calls, which do not trust the clock of a busy process', async () => {
    const h = new EdgeHarness()
    await h.callAndEnd()
    await h.clock.advance(MAX_SILENCE_MS)
    const calls = Array.from({ length: 2_000 }, () => h.call())
    await h.settle()
    expect(h.mints).toHaveLength(1)
    await h.clock.advance(MAX_SILENCE_MS / 5)
    expect(h.mints).toHaveLength(2)
    h.mints[1]?.succeed()
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['token-2']))
    expect(h.count('miss')).toBe(2)
  })

  it.each(['default', 'reload'] as const)('does not make a call wait longer than its deadline: %s', async mode => {
    const h = new EdgeHarness()
    h.queued = true
    await h.callAndEnd()
    const call = failureOf(h.call('user', { mode, deadlineMs: 2_000 }))
    await h.clock.advance(1_999)
    expect(h.mints).toHaveLength(2)
    let isSettled = false
    void call.then(() => (isSettled = true))
    await h.settle()
    expect(isSettled).toBe(false)
    await h.clock.advance(1)
    expect((await call).code).toBe('VKIT_TIMEOUT')
  })

  it('does not hold a call whose signal aborts', async () => {
    const h = new EdgeHarness()
    await h.callAndEnd()
    const leaving = new AbortController()
    const call = reasonOf(h.call('user', { signal: leaving.signal }))
    await h.settle()
    leaving.abort('left')
    expect(await call).toBe('left')
    await h.clock.advance(MAX_SILENCE_MS)
    expect(h.mints).toHaveLength(1)
  })

  it('can be replaced by one whose request ends too', async () => {
    const h = new EdgeHarness()
    await h.callAndEnd()
    const second = h.requests.during(() => void h.getText())
    const third = h.call()
    await h.clock.advance(MAX_SILENCE_MS)
    expect(h.mints).toHaveLength(2)
    second.request.isEnded = true
    await h.clock.advance(MAX_SILENCE_MS)
    h.mints[2]?.succeed()
    expect(await third).toBe('token-3')
    expect(h.mints).toHaveLength(3)
  })

  it('is not forgotten for its silence alone when another one starts', async () => {
    const h = new EdgeHarness()
    await h.callAndEnd()
    await h.clock.advance(MAX_SILENCE_MS)
    const calls = [h.call('other'), h.call()]
    await h.settle()
    expect(h.mints).toHaveLength(2)
    await h.clock.advance(MAX_SILENCE_MS / 5)
    for (const mint of h.mints) mint.succeed()
    expect(await Promise.all(calls)).toEqual(['token-2', 'token-3'])
  })

  it('is forgotten after its deadline when another one starts, and delays no call any longer', async () => {
    const h = new EdgeHarness()
    await h.callAndEnd()
    await h.clock.advance(15_000)
    const calls = [h.call('other'), h.call()]
    await h.settle()
    for (const mint of h.mints) mint.succeed()
    expect(await Promise.all(calls)).toEqual(['token-2', 'token-3'])
  })

  it('is not cached if its result comes late', async () => {
    const h = new EdgeHarness()
    await h.callAndEnd()
    const call = h.call()
    await h.clock.advance(MAX_SILENCE_MS)
    h.mints[1]?.succeed()
    expect(await call).toBe('token-2')
    h.mints[0]?.succeed()
    await h.settle()
    expect(await h.call()).toBe('token-2')
  })

  it("gives way to a new mint for a caller of 'reload'", async () => {
    const h = new EdgeHarness()
    await h.fillWithStale()
    h.queued = true
    const first = h.callAndEnd('user', { mode: 'reload' })
    await h.settle()
    const reloads = [h.call('user', { mode: 'reload' }), h.call('user', { mode: 'reload' })]
    await first
    await h.clock.advance(MAX_SILENCE_MS)
    expect(h.mints).toHaveLength(3)
    h.mints[2]?.succeed()
    expect(await Promise.all(reloads)).toEqual(['token-3', 'token-3'])
    expect(await h.call()).toBe('token-3')
  })

  it("is replaced by two flights for a caller of 'reload' and one that may get a stored token", async () => {
    const h = new EdgeHarness()
    h.queued = true
    await h.callAndEnd()
    const calls = [h.call(), h.call('user', { mode: 'reload' })]
    await h.clock.advance(MAX_SILENCE_MS)
    expect(h.mints).toHaveLength(3)
    for (const mint of h.mints) mint.succeed()
    expect(await Promise.all(calls)).toEqual(['token-2', 'token-3'])
    expect(await h.call()).toBe('token-3')
  })

  it('does not count as pending, and does not keep a drain waiting', async () => {
    const h = new EdgeHarness()
    for (const identity of ['one', 'two']) await h.callAndEnd(identity)
    await h.callAndEnd('three', { mode: 'no-store' })
    expect(h.cache.inFlight).toBe(3)
    let isIdle = false
    void h.requests.during(() => h.cache.idle()).result.then(() => (isIdle = true))
    await h.clock.advance(MAX_SILENCE_MS)
    expect([isIdle, h.cache.inFlight]).toEqual([true, 0])
  })

  it('as a refresh is started again by a later hit, and not before', async () => {
    const h = new EdgeHarness()
    await h.fillWithStale()
    await h.callAndEnd()
    await h.clock.advance(MAX_SILENCE_MS - 1)
    expect(await h.call()).toBe('token-1')
    await h.settle()
    expect([h.mints.length, h.count('refresh')]).toEqual([2, 1])
    await h.clock.advance(1)
    expect(await h.call()).toBe('token-1')
    await h.settle()
    expect([h.mints.length, h.count('refresh')]).toEqual([3, 2])
    h.mints[2]?.succeed()
    await h.settle()
    expect(await h.call()).toBe('token-3')
  })
})

describe('at the edge, a slow flight', () => {
  it('is shared while its request goes on', async () => {
    const h = new EdgeHarness()
    const calls = [h.call(), h.call()]
    await h.clock.advance(10 * MAX_SILENCE_MS)
    calls.push(h.call())
    h.mints[0]?.succeed()
    expect(await Promise.all(calls)).toEqual(['token-1', 'token-1', 'token-1'])
    expect([h.mints.length, h.clock.sleepers]).toEqual([1, 0])
  })

  it('is shared although others start meanwhile', async () => {
    const h = new EdgeHarness()
    const calls = [h.call(), h.call('other'), h.call()]
    await h.settle()
    for (const mint of h.mints) mint.succeed()
    expect(await Promise.all(calls)).toEqual(['token-1', 'token-2', 'token-1'])
  })

  it('as a refresh is started once, whatever the number of hits', async () => {
    const h = new EdgeHarness()
    await h.fillWithStale()
    for (let hit = 0; hit < 20; hit++) {
      expect(await h.call()).toBe('token-1')
      await h.clock.advance(MAX_SILENCE_MS / 2)
    }
    expect([h.mints.length, h.count('refresh'), h.count('hit')]).toEqual([2, 1, 20])
  })

  it('fails for each of its callers with a separate error object', async () => {
    const h = new EdgeHarness()
    const calls = [failureOf(h.call()), failureOf(h.call())]
    await h.settle()
    h.mints[0]?.fail(new VKitServerError('down'))
    const [one, other] = await Promise.all(calls)
    expect(one).toMatchObject({ code: 'VKIT_UNAVAILABLE' })
    expect(one).not.toBe(other)
  })
})
