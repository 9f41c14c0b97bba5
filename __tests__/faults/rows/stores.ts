import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import type { TokenStore, VKitClient } from '../../../lib/index.js'
import { assertNoSecret, FakeClock } from '../../../lib/testing/index.js'
import type { Context } from '../harness/context.js'
import { SECRET, type Row } from '../harness/row.js'

const HOUR_MS = 3_600_000

/** A store in memory that ignores the time to live. */
class TestStore implements TokenStore {
  readonly records = new Map<string, string>()
  readonly ttls: number[] = []

  get(key: string): unknown {
    return this.records.get(key)
  }
  set(key: string, value: string, ttlMs: number): unknown {
    this.ttls.push(ttlMs)
    return this.records.set(key, value)
  }
  delete(key: string): unknown {
    return this.records.delete(key)
  }
}

const down = (): never => {
  throw new Error(`the store at redis://:${SECRET}@example is down`)
}
const slow = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 1_000).unref())
const hanging = (): Promise<never> => new Promise(() => undefined)
const rejecting = (): Promise<never> => Promise.reject(new Error(`no connection for ${SECRET}`))

async function untilStored(store: TestStore, count: number): Promise<void> {
  while (store.records.size < count) await setImmediate()
}

/** Checks that each call mints a token, even if the store fails. */
async function expectMinted(t: Context, store: TokenStore): Promise<void> {
  const gateway = await t.emulator()
  const client = t.client(gateway, { cache: { store } })
  // `failureOf` cannot limit the time of a call that succeeds, so the deadline does.
  const limits = { deadlineMs: 5_000 }
  for (const identity of ['a', 'b', 'c', 'd']) t.hide((await client.getSessionToken(identity, limits)).sessionToken)
  assert.equal(gateway.requests.length, 4)
  assert.equal(client.stats().entries, 4)
  assert.ok(t.types().includes('store-failure'))
}

/** Checks that a new client of the same store and gateway does not use the records that `spoil` has changed. */
async function expectMiss(
  t: Context,
  spoil: (store: TestStore, clock: FakeClock) => void | Promise<void>,
): Promise<void> {
  const clock = new FakeClock()
  const gateway = await t.emulator({ clock })
  const store = new TestStore()
  const makeClient = (): VKitClient => t.client(gateway, { clock, cache: { store } })
  const first = makeClient()
  const [a, b] = [await t.mint(first, 'a'), await t.mint(first, 'b')]
  await untilStored(store, 2)
  assert.equal(await t.mint(makeClient(), 'a'), a, 'the unchanged record is used')
  assertNoSecret([...store.records], SECRET)

  await spoil(store, clock)
  t.events.length = 0
  const second = makeClient()
  const [newA, newB] = [await t.mint(second, 'a'), await t.mint(second, 'b')]
  assert.equal(gateway.requests.length, 4)
  assert.ok(newA !== a && newB !== b && newA !== b && newB !== a)
  assert.ok(t.types().filter(type => type === 'store-failure').length >= 2)
}

function each(change: (record: string) => string) {
  return ({ records }: TestStore): void => {
    for (const [key, record] of records) records.set(key, change(record))
  }
}

const replaceAt = (text: string, index: number, by: string): string =>
  text.slice(0, index) + by + text.slice(index + by.length)

export const stores: readonly Row[] = [
  {
    n: 65,
    fault: 'shared store down, slow, hanging',
    outcome: 'minted, at most 250 ms later, 1',
    async run(t) {
      for (const trouble of [down, slow, hanging, rejecting]) {
        await expectMinted(t, { get: trouble, set: trouble, delete: trouble })
      }
      // The clock advances only by 250 ms, so the store cannot delay a call by more than that.
      const clock = new FakeClock()
      const gateway = await t.emulator({ clock })
      let reads = 0
      const get = (): Promise<never> => (reads++, hanging())
      const client = t.client(gateway, { clock, cache: { store: { get, set: hanging, delete: hanging } } })
      const calls = ['a', 'b', 'c'].map(identity => t.mint(client, identity))
      // The keys of the records come first, and they do not depend on the clock.
      while (reads < calls.length) await setImmediate()
      await clock.advance(250)
      await Promise.all(calls)
      assert.equal(gateway.requests.length, 3)
    },
  },
  {
    n: 66,
    fault: 'stored record corrupt, swapped between keys, of another version, replayed after expiry',
    outcome: 'a miss and an event, 1',
    async run(t) {
      await expectMiss(
        t,
        each(() => 'garbage'),
      )
      await expectMiss(
        t,
        each(() => ''),
      )
      await expectMiss(
        t,
        each(record => record.slice(0, -10)),
      )
      await expectMiss(
        t,
        each(record => record.replace(/\d/, digit => String((Number(digit) + 1) % 10))),
      )
      await expectMiss(
        t,
        each(record => replaceAt(record, record.length - 30, record.at(-30) === 'A' ? 'B' : 'A')),
      )
      await expectMiss(t, ({ records }) => {
        const [[one, ofOne] = [], [other, ofOther] = []] = [...records]
        assert.ok(one && ofOne && other && ofOther)
        records.set(one, ofOther).set(other, ofOne)
      })
      await expectMiss(t, (_, clock) => clock.advance(HOUR_MS + 1))
      await expectMiss(t, ({ records }) => {
        for (const key of records.keys()) records.set(key, { a: 1 } as unknown as string)
      })
    },
  },
  {
    n: 67,
    fault: 'store write fails',
    outcome: 'success, 1',
    async run(t) {
      for (const set of [down, slow, hanging, rejecting]) {
        const gateway = await t.emulator()
        const client = t.client(gateway, { cache: { store: { get: () => undefined, set, delete: () => undefined } } })
        assert.equal(await t.mint(client, 'user'), await t.mint(client, 'user'))
        assert.equal(gateway.requests.length, 1)
      }
    },
  },
  {
    n: 68,
    fault: 'lifetime ≤ 0 or not finite',
    outcome: 'nothing written, 1',
    async run(t) {
      const truth = new FakeClock()
      const behind = new FakeClock(truth.now() - 600_000)
      const broken = Object.assign(new FakeClock(), { now: () => NaN })
      for (const [clock, lifetimeMs] of [
        [behind, 500],
        [broken, HOUR_MS],
      ] as const) {
        const gateway = await t.emulator({ clock: truth, lifetimeMs })
        const store = new TestStore()
        const client = t.client(gateway, { clock, cache: { store } })
        await t.mint(client, 'user')
        assert.equal(gateway.requests.length, 1)
        assert.equal(client.stats().entries, 0)
        for (let turn = 0; turn < 20; turn++) await setImmediate()
        assert.equal(store.records.size, 0)
      }
    },
  },
]
