import { describe, expect, it } from '@jest/globals'
import { Events } from '../../../lib/core/events.js'
import type { Lease } from '../../../lib/store/lease.js'
import { Leases } from '../../../lib/store/leases.js'
import { StoreGuard } from '../../../lib/store/store-guard.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { recordEvents } from '../../support/gateway.js'
import { MemoryStore } from '../../support/memory-store.js'

const never = (): Promise<never> => new Promise(() => undefined)

/** Two processes with one store, on one clock. A pause of leases takes 30 s by default. */
function setUp(random = 0) {
  const clock = new FakeClock()
  const store = new MemoryStore(clock)
  const process = () => {
    const { events, types, onEvent } = recordEvents()
    const options = { store, clock, events: new Events(onEvent), random: () => random }
    const guard = new StoreGuard(options)
    const leases = new Leases({ ...options, guard })
    const open = (key = 'key'): Lease => {
      const lease = leases.open(key)
      if (lease) return lease
      throw new Error('leases are ignored')
    }
    return { events, types, guard, leases, open }
  }
  const count = (operation: string): number => store.operations.filter(done => done.operation === operation).length
  /** Lets another process have a lease for ever. */
  const occupy = (key: string): void => void store.acquireLease(key, 'another', 3_600_000)
  return { clock, store, one: process(), two: process(), count, occupy }
}

describe('a lease', () => {
  it('is taken by one process', async () => {
    const { one, two } = setUp()
    expect(await one.open().take()).toBe('taken')
    expect(await two.open().take()).toBe('held')
  })

  it('is taken by one of two mints of the same process', async () => {
    const { one } = setUp()
    expect(await one.open().take()).toBe('taken')
    expect(await one.open().take()).toBe('held')
  })

  it('is the lease of one key', async () => {
    const { one, two } = setUp()
    await one.open('key').take()
    expect(await two.open('another').take()).toBe('taken')
  })

  it('is kept until its release', async () => {
    const { one, two, clock } = setUp()
    const lease = one.open()
    await lease.take()
    await clock.advance(10_000)
    expect(await two.open().take()).toBe('held')
    lease.release()
    await clock.advance(0)
    expect(await two.open().take()).toBe('taken')
  })

  it('is extended every 300 ms, and no longer after its release', async () => {
    const { one, clock, count } = setUp()
    const lease = one.open()
    await lease.take()
    await clock.advance(1_000)
    expect(count('acquireLease')).toBe(1 + 3)
    lease.release()
    await clock.advance(10_000)
    expect(count('acquireLease')).toBe(4)
    expect(clock.sleepers).toBe(0)
  })

  it('ends one second after the last sign of life of its holder', async () => {
    const { one, two, clock, store } = setUp()
    await one.open().take()
    await clock.advance(650)
    store.hold('acquireLease')
    const dead = store.operations.length
    await clock.advance(949)
    expect(store.holderOf('key')).toBeDefined()
    await clock.advance(1)
    expect(store.holderOf('key')).toBeUndefined()
    expect(store.operations.length).toBeGreaterThan(dead)
    expect(two.types()).toEqual([])
  })

  it('ends after three seconds if its holder is busy, and thus extends it late', async () => {
    const { one, clock, store } = setUp()
    let busy = 0
    Object.assign(clock, { busyMs: () => busy })
    const { leases } = one
    for (const share of [0.4, 0.6, 0.4]) {
      await clock.advance(1_000)
      busy += share * 1_000
      const key = `key-${clock.monotonic()}`
      const lease = leases.open(key)
      await lease?.take()
      expect([share, store.leaseMsLeft(key)]).toEqual([share, share > 0.5 ? 3_000 : 1_000])
      lease?.release()
    }
  })

  it.each([
    [100, 51, 3_000],
    [100, 50, 1_000],
    [99, 99, 1_000],
  ])('after %d ms of which its holder was busy for %d lasts %d ms', async (elapsedMs, busyMs, ttlMs) => {
    const { one, clock, store } = setUp()
    Object.assign(clock, { busyMs: () => busyMs })
    await clock.advance(elapsedMs)
    await one.open().take()
    expect(store.leaseMsLeft('key')).toBe(ttlMs)
  })

  it('is as long as before if there was little time to see how busy its holder is', async () => {
    const { one, clock, store } = setUp()
    Object.assign(clock, { busyMs: () => clock.monotonic() })
    await clock.advance(99)
    await one.open().take()
    expect(store.leaseMsLeft('key')).toBe(1_000)
  })

  it('can be overtaken by one process', async () => {
    const { one, two, occupy } = setUp()
    occupy('key')
    expect(await one.open().overtake()).toBe('taken')
    expect(await two.open().overtake()).toBe('held')
  })

  it('that was overtaken goes to the process that has overtaken it', async () => {
    const { one, two, clock, store } = setUp()
    await store.acquireLease('key', 'hangs', 500)
    const overtaking = one.open()
    await overtaking.overtake()
    await clock.advance(600)
    expect(await two.open().take()).toBe('held')
    overtaking.release()
    await clock.advance(0)
    expect(await two.open().take()).toBe('taken')
  })

  it('is released with what it has overtaken', async () => {
    const { one, clock, store } = setUp()
    const lease = one.open()
    await lease.take()
    await lease.overtake()
    lease.release()
    await clock.advance(0)
    expect([store.holderOf('key'), store.holderOf('key:overtake')]).toEqual([undefined, undefined])
    expect(clock.sleepers).toBe(0)
  })

  it('that the store grants after its release is released again, and never extended', async () => {
    const { one, two, store, clock, count } = setUp()
    const grant = store.hold('acquireLease')
    const lease = one.open()
    const taking = lease.take()
    lease.release()
    grant()
    expect(await taking).toBe('unavailable')
    await clock.advance(10_000)
    expect(count('acquireLease')).toBe(1)
    expect(await two.open().take()).toBe('taken')
  })

  it('that was not taken needs no release', async () => {
    const { one, count } = setUp()
    one.open().release()
    expect(count('releaseLease')).toBe(0)
  })

  it('that could not be overtaken needs no release', async () => {
    const { one, count, occupy } = setUp()
    occupy('key:overtake')
    const lease = one.open()
    expect(await lease.overtake()).toBe('held')
    lease.release()
    expect(count('releaseLease')).toBe(0)
  })

  it('that has ended does not free that of the next holder when it is released', async () => {
    const { one, two, clock, store } = setUp()
    const lease = one.open()
    await lease.take()
    const open = store.hold('acquireLease')
    // Of the two that ask for it now, the first gets it, which is not the one that extends it.
    await clock.advance(250)
    void two.open().take()
    await clock.advance(750)
    open()
    await clock.advance(0)
    const holder = store.holderOf('key')
    lease.release()
    await clock.advance(0)
    expect(holder).toBeDefined()
    expect(store.holderOf('key')).toBe(holder)
  })

  it('is released after a timeout too, because the store may have made it', async () => {
    const { one, clock, store } = setUp()
    const open = store.hold('acquireLease')
    const lease = one.open()
    const taking = lease.take()
    await clock.advance(100)
    expect(await taking).toBe('unavailable')
    open()
    await clock.advance(0)
    expect(store.holderOf('key')).toBeDefined()
    lease.release()
    await clock.advance(0)
    expect(store.holderOf('key')).toBeUndefined()
  })

  it('is not asked for in a store that is paused', async () => {
    const { one, clock, store, count } = setUp()
    store.get = never
    for (let call = 0; call < 2; call++) {
      void one.guard.get('key')
      await clock.advance(101)
    }
    expect(await one.open().take()).toBe('unavailable')
    expect(count('acquireLease')).toBe(0)
  })
})

describe('leases are ignored', () => {
  it('by a store that has none', () => {
    const clock = new FakeClock()
    const take = (): boolean => true
    const none = new Map<string, string>()
    const [onlyAcquire, onlyRelease] = [
      Object.assign(new Map<string, string>(), { acquireLease: take }),
      Object.assign(new Map<string, string>(), { releaseLease: take }),
    ]
    for (const store of [none, onlyAcquire, onlyRelease]) {
      const options = { store, clock, events: new Events(), random: () => 0 }
      expect(new Leases({ ...options, guard: new StoreGuard(options) }).open('key')).toBeUndefined()
    }
  })

  it('for 30 s after three failures', async () => {
    const { one, clock, store } = setUp()
    store.acquireLease = never
    for (let call = 0; call < 3; call++) {
      void one.open(`${call}`).take()
      await clock.advance(101)
    }
    expect(one.events.at(-1)).toEqual({ type: 'lease-pause', durationMs: 30_000 })
    expect(one.leases.open('key')).toBeUndefined()
    await clock.advance(30_000)
    expect(one.leases.open('key')).toBeDefined()
  })

  it('for a random time, because other processes see the same failures', async () => {
    const { one, clock } = setUp(0.5)
    const record = async (count: number): Promise<void> => {
      for (let wait = 0; wait < count; wait++) {
        lease.recordWait({ startedAt: clock.monotonic(), isFruitless: true })
        await clock.advance(1)
      }
    }
    const lease = one.open()
    await record(3)
    // Those of mints that began before the pause change nothing.
    await record(3)
    expect(one.events).toEqual([{ type: 'lease-pause', durationMs: 22_500 }])
    await clock.advance(22_500 - 4 - 1)
    expect(one.leases.open('key')).toBeUndefined()
    await clock.advance(1)
    expect(one.leases.open('key')).toBeDefined()
  })

  it('by a mint that waits meanwhile', async () => {
    const { one, clock, store, occupy } = setUp()
    occupy('key')
    const lease = one.open()
    expect(await lease.take()).toBe('held')
    store.acquireLease = never
    for (let call = 0; call < 3; call++) {
      void one.open(`${call}`).take()
      await clock.advance(101)
    }
    expect(await lease.take()).toBe('unavailable')
  })

  it('not after three concurrent failures, which have one cause', async () => {
    const { one, clock, store } = setUp()
    store.acquireLease = never
    for (let call = 0; call < 3; call++) void one.open(`${call}`).take()
    await clock.advance(101)
    expect(one.types()).not.toContain('lease-pause')
  })

  it('not if one is taken between the failures', async () => {
    const { one, clock, store } = setUp()
    for (let call = 0; call < 4; call++) {
      if (call === 2) Reflect.deleteProperty(store, 'acquireLease')
      else store.acquireLease = never
      void one.open(`${call}`).take()
      await clock.advance(101)
    }
    expect(one.types()).not.toContain('lease-pause')
  })

  it('after three failures, even if one is taken that was asked for before the last failure', async () => {
    const { one, clock, store } = setUp()
    const fail = async (): Promise<void> => {
      store.failing.add('acquireLease')
      await one.open().take()
      store.failing.clear()
      await clock.advance(1)
    }
    await fail()
    const grant = store.hold('acquireLease')
    const early = one.open('early').take()
    await clock.advance(1)
    const acquireLease = store.acquireLease.bind(store)
    store.acquireLease = () => Promise.reject(new Error('boom'))
    await one.open().take()
    store.acquireLease = acquireLease
    grant()
    expect(await early).toBe('taken')
    await clock.advance(1)
    await fail()
    expect(one.types()).toContain('lease-pause')
  })

  it('not because the store is paused, which shows nothing about them', async () => {
    const { one, clock, store } = setUp()
    store.get = never
    for (let call = 0; call < 2; call++) {
      void one.guard.get('key')
      await clock.advance(101)
    }
    for (let call = 0; call < 3; call++) await one.open(`${call}`).take()
    expect(one.types()).not.toContain('lease-pause')
  })

  it('after three fruitless waits, even if the store says each time who has the lease', async () => {
    const { one, clock, occupy } = setUp()
    for (let call = 0; call < 3; call++) {
      occupy(`${call}`)
      const lease = one.open(`${call}`)
      const startedAt = clock.monotonic()
      for (let poll = 0; poll < 5; poll++) {
        expect(await lease.take()).toBe('held')
        await clock.advance(300)
      }
      expect(await lease.overtake()).toBe('taken')
      lease.recordWait({ startedAt, isFruitless: true })
    }
    expect(one.types()).toEqual(['lease-pause'])
  })

  it('not if a wait between the fruitless ones brought a token', async () => {
    const { one, clock } = setUp()
    for (const isFruitless of [true, true, false, true, true]) {
      one.open().recordWait({ startedAt: clock.monotonic(), isFruitless })
      await clock.advance(1)
    }
    expect(one.types()).toEqual([])
  })
})

describe('the end of a client', () => {
  it('frees what its mints have taken', async () => {
    const { one, clock, store } = setUp()
    await one.open('key').take()
    await one.open('another').overtake()
    one.leases.close()
    await clock.advance(0)
    expect(store.leases).toEqual([])
    expect(clock.sleepers).toBe(0)
  })

  it('frees nothing twice', async () => {
    const { one, count } = setUp()
    const lease = one.open()
    await lease.take()
    lease.release()
    one.leases.close()
    expect(count('releaseLease')).toBe(1)
  })
})
