import { describe, expect, it } from '@jest/globals'
import { systemClock } from '../../../lib/core/clock.js'
import { Events } from '../../../lib/core/events.js'
import { Deadline } from '../../../lib/core/deadline.js'
import { NOTHING, StoreGuard, UNAVAILABLE } from '../../../lib/store/store-guard.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { recordEvents } from '../../support/gateway.js'
import { seededRandom } from '../../support/random.js'

const never = (): Promise<unknown> => new Promise(() => undefined)
const idle = { onAbort: () => () => undefined }

function setUp(get: () => unknown = () => 'value', random = seededRandom()) {
  const clock = new FakeClock()
  const { events, types, onEvent } = recordEvents()
  const calls: string[] = []
  const store = {
    get: (key: string): unknown => (calls.push(`get ${key}`), store.respond()),
    set: (key: string): unknown => (calls.push(`set ${key}`), store.respond()),
    delete: (key: string): unknown => (calls.push(`delete ${key}`), store.respond()),
    publish: (channel: string): unknown => (calls.push(`publish ${channel}`), store.respond()),
    subscribe: never as () => Promise<never>,
    respond: get,
  }
  const guard = new StoreGuard({ store, clock, events: new Events(onEvent), random })
  return { clock, events, types, calls, store, guard }
}

/** Returns the value of `promise`, and how many milliseconds of the clock it took. */
async function timed<T>(clock: FakeClock, promise: Promise<T>): Promise<[T, number]> {
  const start = clock.monotonic()
  const ends: number[] = []
  const settled = promise.finally(() => ends.push(clock.monotonic()))
  for (;;) {
    await clock.advance(0)
    const [end] = ends
    if (end !== undefined) return [await settled, end - start]
    await clock.advance(1)
  }
}

describe('StoreGuard', () => {
  it('returns the results of the store, and leaves no timer', async () => {
    const { guard, clock, types } = setUp(() => Promise.resolve('value'))
    expect(await guard.get('key', idle)).toBe('value')
    expect(await guard.set('key', 'value', 1).value).toBe('value')
    expect(await guard.delete('key').value).toBe('value')
    await clock.advance(0)
    expect([types(), clock.sleepers]).toEqual([[], 0])
  })

  it('waits 100 ms twice for a store that hangs, and then pauses it', async () => {
    const { guard, clock, events, calls } = setUp(never)
    const costs: number[] = []
    for (let call = 0; call < 20; call++) costs.push((await timed(clock, guard.get('key', idle)))[1])
    expect(costs).toEqual([100, 100, ...Array<number>(18).fill(0)])
    expect(calls).toHaveLength(2)
    const failure = { type: 'store-failure', operation: 'get', reason: 'timeout' }
    expect(events).toEqual([failure, failure, { type: 'store-pause', durationMs: expect.any(Number) }])
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('boom')
      },
    ],
    ['rejects', () => Promise.reject(new Error('boom'))],
    [
      'returns a thenable that throws',
      () => ({
        then: () => {
          throw new Error('boom')
        },
      }),
    ],
  ])('returns nothing usable if the store %s', async (_, respond) => {
    const { guard, clock, events } = setUp(respond)
    expect(await timed(clock, guard.get('key', idle))).toEqual([UNAVAILABLE, 0])
    expect(await timed(clock, guard.set('key', 'value', 1).value)).toEqual([UNAVAILABLE, 0])
    expect(events.slice(0, 2)).toEqual([
      { type: 'store-failure', operation: 'get', reason: 'error' },
      { type: 'store-failure', operation: 'set', reason: 'error' },
    ])
  })

  it('counts a hundred operations that fail together as one failure', async () => {
    const { guard, clock, types } = setUp(never)
    const failing = Array.from({ length: 100 }, () => guard.get('key', idle))
    await timed(clock, Promise.all(failing))
    expect(types()).toEqual(Array(100).fill('store-failure'))
    expect(await timed(clock, guard.get('key', idle))).toEqual([UNAVAILABLE, 100])
    expect(types().at(-1)).toBe('store-pause')
  })

  it('accepts a response that arrived while the process was busy', async () => {
    const clock = { ...systemClock, sleep: () => Promise.resolve() }
    const { events, onEvent } = recordEvents()
    // The timer has already expired, and the response is in the next phase of the event loop.
    const get = (): Promise<string> => new Promise(resolve => setImmediate(() => resolve('value')))
    const store = { get, set: get, delete: get }
    const guard = new StoreGuard({ store, clock, events: new Events(onEvent), random: seededRandom() })
    expect(await guard.get('key', idle)).toBe('value')
    expect(events).toEqual([])
  })

  it('pauses a store that always responds after the time limit, and reports each operation once', async () => {
    const settle: (() => void)[] = []
    const { guard, clock, events, types } = setUp(() => new Promise<void>(resolve => settle.push(resolve)))
    for (let call = 0; call < 2; call++) {
      await timed(clock, guard.get('key', idle))
      settle[call]?.()
      await clock.advance(0)
    }
    expect(types()).toEqual(['store-failure', 'store-failure', 'store-pause'])
    expect(events[0]).toEqual({ type: 'store-failure', operation: 'get', reason: 'timeout' })
  })

  it('does not pause for one failure between successes', async () => {
    const { guard, store, types } = setUp()
    for (let round = 0; round < 5; round++) {
      store.respond = () => Promise.reject(new Error('boom'))
      await guard.get('key', idle)
      store.respond = () => 'value'
      expect(await guard.get('key', idle)).toBe('value')
    }
    expect(types()).not.toContain('store-pause')
  })

  it('pauses a store whose reads hang although its writes succeed, until a read succeeds', async () => {
    const { guard, store, clock, types } = setUp()
    const costs: number[] = []
    store.get = never
    for (let call = 0; call < 5; call++) {
      costs.push((await timed(clock, guard.get('key', idle)))[1])
      await guard.set('key', 'value', 1).value
      await guard.delete('key').value
    }
    expect(costs).toEqual([100, 100, 0, 0, 0])
    await clock.advance(1_000)
    await guard.set('key', 'value', 1).value
    await clock.advance(0)
    expect(types()).not.toContain('store-resume')
    store.get = () => 'value'
    await guard.get('key', idle)
    await clock.advance(0)
    expect(types().at(-1)).toBe('store-resume')
  })

  it('stops writing to a store whose writes hang although its reads succeed', async () => {
    const { guard, store, clock } = setUp()
    let sets = 0
    store.set = () => (sets++, never())
    for (let call = 0; call < 20; call++) {
      await timed(clock, guard.get('key', idle))
      await timed(clock, guard.set('key', 'value', 1).value)
    }
    expect(sets).toBe(2)
  })

  it('resumes after failed removals without repeating them, and pauses again after the next failed removal', async () => {
    const { guard, store, clock, events, types } = setUp()
    store.delete = never
    for (let call = 0; call < 2; call++) await timed(clock, guard.delete('key').value)
    expect(await guard.get('key', idle)).toBe(UNAVAILABLE)
    await clock.advance(1_000)
    await guard.get('key', idle)
    await clock.advance(0)
    expect(types().at(-1)).toBe('store-resume')
    expect(await guard.get('key', idle)).toBe('value')
    await timed(clock, guard.delete('key').value)
    expect(events.at(-1)).toEqual({ type: 'store-pause', durationMs: expect.any(Number) })
  })

  it('resumes at once if a removal succeeds after removals have failed', async () => {
    const { guard, store, clock, types } = setUp()
    store.respond = () => Promise.reject(new Error('boom'))
    for (let call = 0; call < 2; call++) await guard.delete('key').value
    store.respond = () => 'value'
    expect(await guard.delete('key').value).toBe(UNAVAILABLE)
    await clock.advance(0)
    expect(types().slice(2)).toEqual(['store-pause', 'store-resume'])
    expect(await guard.get('key')).toBe('value')
  })

  it.each<['get' | 'delete', readonly number[]]>([
    // The last but one is that of the probe that succeeds.
    ['get', [500, 1_000, 2_000, 500]],
    // The probe is a read, which shows that the store works, but not that removals do.
    ['delete', [500, 1_000, 2_000]],
  ])('after failures of %s pauses for these times: %j', async (operation, expected) => {
    const { guard, store, clock, events } = setUp(undefined, () => 0)
    const failing = async (call: () => unknown): Promise<void> => {
      store.respond = () => Promise.reject(new Error('boom'))
      await call()
      await clock.advance(0)
      store.respond = () => 'value'
    }
    const fail = () => (operation === 'get' ? guard.get('key') : guard.delete('key').value)
    for (let call = 0; call < 2; call++) await failing(fail)
    if (operation === 'get') {
      await clock.advance(500)
      await failing(fail)
    }
    await clock.advance(1_000)
    await guard.get('key')
    await clock.advance(0)
    for (let call = 0; call < 2; call++) await failing(fail)
    expect(events.flatMap(event => (event.type === 'store-pause' ? [event.durationMs] : []))).toEqual(expected)
  })

  it('probes when a pause ends, or before if the store seems to be back, with short pauses from then on', async () => {
    const { guard, clock, calls, events } = setUp(never, () => 0)
    guard.probeNow()
    expect(guard.isPaused).toBe(false)
    for (let call = 0; call < 2; call++) await timed(clock, guard.get('key'))
    expect(guard.isPaused).toBe(true)
    await clock.advance(499)
    await guard.get('key')
    expect(calls).toHaveLength(2)
    await clock.advance(1)
    await guard.get('key')
    expect(calls).toHaveLength(3)
    guard.probeNow()
    await guard.get('key')
    expect(calls).toHaveLength(4)
    const pauses = events.flatMap(event => (event.type === 'store-pause' ? [event.durationMs] : []))
    expect(pauses).toEqual([500, 1_000, 500])
  })

  it('does not count writes that are done, nor reads, as pending writes', async () => {
    const { guard, store } = setUp()
    for (let write = 0; write < 2_000; write++) await guard.set('key', 'value', 1).value
    store.respond = never
    for (let read = 0; read < 2_000; read++) void guard.get('key')
    store.respond = () => 'value'
    expect(await guard.set('key', 'value', 1).value).toBe('value')
  })

  it('tracks at most a thousand pending writes', async () => {
    const { guard, store, clock } = setUp()
    let sets = 0
    store.set = () => (sets++, never())
    store.delete = never
    const outcomes = Array.from({ length: 3_000 }, () => guard.set('key', 'value', 1))
    expect(sets).toBe(1_000)
    let ended = false
    void outcomes[0]?.settled.then(() => (ended = true))
    await clock.advance(0)
    expect(ended).toBe(false)
    // A removal is still sent, and replaces the oldest tracked write.
    void guard.delete('key')
    await clock.advance(0)
    expect(ended).toBe(true)
  })

  it('asks for a lease although a thousand writes are pending', async () => {
    const { guard, store } = setUp()
    store.set = never
    for (let write = 0; write < 1_000; write++) void guard.set('key', 'value', 1)
    const leases = Array.from({ length: 2_000 }, (_, lease) => guard.lease(() => lease))
    expect(await Promise.all(leases)).toEqual(Array.from({ length: 2_000 }, (_, lease) => lease))
    expect(guard.set('key', 'value', 1)).toBe(NOTHING)
  })

  it('probes with a write although a thousand writes are pending', async () => {
    const { guard, store, clock, types } = setUp()
    store.set = never
    const writes = (): Promise<unknown> =>
      Promise.all(Array.from({ length: 999 }, () => guard.set('key', 'value', 1).value))
    await timed(clock, writes())
    await timed(clock, guard.set('key', 'value', 1).value)
    expect(types().at(-1)).toBe('store-pause')
    await clock.advance(1_000)
    store.set = () => 'value'
    await guard.set('key', 'value', 1).value
    await clock.advance(0)
    expect(types().at(-1)).toBe('store-resume')
  })

  it('probes a paused store at growing intervals, without delaying a caller', async () => {
    const { guard, clock, events, calls } = setUp(never)
    await timed(clock, guard.get('key', idle))
    await timed(clock, guard.get('key', idle))
    for (let second = 0; second < 300; second++) {
      await clock.advance(1_000)
      expect(await timed(clock, guard.get('key', idle))).toEqual([UNAVAILABLE, 0])
    }
    const pauses = events.flatMap(event => (event.type === 'store-pause' ? [event.durationMs] : []))
    for (const [index, ms] of pauses.entries()) {
      const ceiling = Math.min(30_000, 1_000 * 2 ** index)
      expect(ms).toBeGreaterThanOrEqual(ceiling / 2)
      expect(ms).toBeLessThanOrEqual(ceiling)
    }
    expect(calls.length).toBeLessThan(30)
  })

  it('uses the store again after a successful probe', async () => {
    const { guard, clock, store, types } = setUp(never)
    await timed(clock, guard.get('key', idle))
    await timed(clock, guard.get('key', idle))
    store.respond = () => 'value'
    expect(await guard.get('key', idle)).toBe(UNAVAILABLE)
    await clock.advance(1_000)
    expect(await guard.get('key', idle)).toBe(UNAVAILABLE)
    await clock.advance(0)
    expect(types().at(-1)).toBe('store-resume')
    expect(await guard.get('key', idle)).toBe('value')
  })

  it('sends removals even while paused, without delaying a caller', async () => {
    const { guard, clock, calls } = setUp(never)
    await timed(clock, guard.get('key', idle))
    await timed(clock, guard.get('key', idle))
    expect(await timed(clock, guard.delete('key').value)).toEqual([UNAVAILABLE, 0])
    await timed(clock, guard.set('key', 'value', 1).value)
    expect(calls).toEqual(['get key', 'get key', 'delete key'])
  })

  it('sends messages even while paused, without delaying a caller', async () => {
    const { guard, clock, calls } = setUp(never)
    await timed(clock, guard.get('key', idle))
    await timed(clock, guard.get('key', idle))
    expect(await timed(clock, guard.publish('channel', 'text').value)).toEqual([UNAVAILABLE, 0])
    expect(calls).toEqual(['get key', 'get key', 'publish channel'])
  })

  it.each<[string, (guard: StoreGuard) => Promise<unknown>]>([
    ['messages', guard => guard.publish('channel', 'text').value],
    ['leases', guard => guard.lease(never)],
  ])('does not pause a store that fails only with %s', async (_, fail) => {
    const { guard, store, clock, events, types } = setUp()
    store.publish = never
    for (let call = 0; call < 5; call++) expect(await timed(clock, fail(guard))).toEqual([UNAVAILABLE, 100])
    expect(types()).toEqual(Array(5).fill('store-failure'))
    expect(events).not.toContainEqual(expect.objectContaining({ reason: 'error' }))
    expect(await guard.get('key', idle)).toBe('value')
  })

  it('does not probe a paused store with messages and leases, whose failure would show nothing', async () => {
    const { guard, store, clock, types } = setUp()
    store.delete = never
    for (let call = 0; call < 2; call++) await timed(clock, guard.delete('key').value)
    await clock.advance(1_000)
    await guard.publish('channel', 'text').value
    expect(await guard.lease(() => true)).toBe(UNAVAILABLE)
    await clock.advance(0)
    expect(types().slice(2)).toEqual(['store-pause'])
    await guard.get('key', idle)
    await clock.advance(0)
    expect(types().slice(3)).toEqual(['store-pause', 'store-resume'])
  })

  it('does not count the end of a call as a failure of the store', async () => {
    const { guard, events, clock } = setUp(never)
    const call = new Deadline(clock, 15_000, () => new Error('late'))
    const value = guard.get('key', call)
    call.cancel(new Error('the client is closed'))
    expect([await value, await guard.get('key', call)]).toEqual([UNAVAILABLE, UNAVAILABLE])
    await clock.advance(1_000)
    expect(events).toEqual([])
    expect(clock.sleepers).toBe(0)
  })

  it('handles a rejection after the timeout', async () => {
    let fail: (error: Error) => void = () => undefined
    const { guard, clock } = setUp(() => new Promise((_, reject) => (fail = reject)))
    const { value, settled } = guard.set('key', 'value', 1)
    await timed(clock, value)
    fail(new Error('late'))
    await expect(settled).rejects.toThrow('late')
  })
})

describe('a process that is busy', () => {
  /** A clock whose next sleeps end late by these times. */
  function late(...delays: number[]): FakeClock {
    const clock = new FakeClock()
    const sleep = clock.sleep.bind(clock)
    clock.sleep = (ms, signal) => sleep(ms + (delays.shift() ?? 0), signal)
    return clock
  }
  const guardOn = (clock: FakeClock, get: () => unknown) => {
    const { types, onEvent } = recordEvents()
    const store = { get, set: never, delete: never }
    return { types, guard: new StoreGuard({ store, clock, events: new Events(onEvent), random: seededRandom() }) }
  }

  it('gets back the time in which it could not read the response of the store', async () => {
    const clock = late(400)
    const { guard, types } = guardOn(clock, () => FakeClock.prototype.sleep.call(clock, 520).then(() => 'value'))
    const value = guard.get('key')
    await clock.advance(520)
    expect(await value).toBe('value')
    expect(types()).toEqual([])
  })

  it('does not wait longer than 100 ms for a store that hangs afterwards', async () => {
    const clock = late(400)
    const { guard, types } = guardOn(clock, never)
    expect(await timed(clock, guard.get('key'))).toEqual([UNAVAILABLE, 600])
    expect(types()).toEqual(['store-failure'])
  })

  it.each([
    [10, 110],
    [11, 122],
  ])('gets back what it was busy, but not 10 ms or less: %d ms', async (busyMs, expected) => {
    const clock = late(busyMs)
    expect(await timed(clock, guardOn(clock, never).guard.get('key'))).toEqual([UNAVAILABLE, expected])
  })

  it('gets back no time in which it was busy before', async () => {
    const clock = Object.assign(new FakeClock(), { busyMs: () => 1_000 })
    const { guard } = guardOn(clock, never)
    expect(await timed(clock, guard.get('key'))).toEqual([UNAVAILABLE, 100])
  })

  it('gets 2 s at most', async () => {
    const clock = late(...Array<number>(20).fill(200))
    const { guard } = guardOn(clock, never)
    expect(await timed(clock, guard.get('key'))).toEqual([UNAVAILABLE, 2_100])
  })
})
