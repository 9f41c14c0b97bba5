import { describe, expect, it, jest } from '@jest/globals'
import { Events } from '../../../lib/core/events.js'
import { SecretSource } from '../../../lib/secret/secret-source.js'
import { Records } from '../../../lib/store/records.js'
import { ServerTime } from '../../../lib/store/server-time.js'
import { StoreGuard } from '../../../lib/store/store-guard.js'
import { Tombstones } from '../../../lib/store/tombstones.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { afterThisTest, recordEvents } from '../../support/gateway.js'

const request = { identity: 'user', scopes: ['videos.read'] }
const GATEWAY = 'https://gateway.video.io/v1/sessions'

/** The records of a store that returns `get()`. */
function setUp(get: () => unknown = () => undefined, gateway = GATEWAY) {
  const removed: string[] = []
  const store = { get, set: () => undefined, delete: (key: string) => void removed.push(key) }
  const clock = new FakeClock()
  const { events, onEvent } = recordEvents()
  const common = { store, clock, events: new Events(onEvent), random: () => 0.5 }
  const records = new Records({
    ...common,
    guard: new StoreGuard(common),
    secret: new SecretSource({ rotates: false, read: async () => 'secret' }),
    endpoint: () => new URL(gateway),
    deadlineMs: 15_000,
    tombstones: new Tombstones(),
    serverTime: new ServerTime(clock),
    onKeys: () => undefined,
  })
  return { records, removed, events, clock }
}

describe('a record', () => {
  it('has a place of its own for each identity, scopes, gateway and secret', async () => {
    const { records } = setUp()
    const places = await Promise.all([
      records.placeOf(request, 'secret'),
      records.placeOf({ ...request, identity: 'other' }, 'secret'),
      records.placeOf({ ...request, scopes: [] }, 'secret'),
      setUp(undefined, 'https://other.example/v1/sessions').records.placeOf(request, 'secret'),
      records.placeOf(request, 'another'),
    ])
    expect(new Set(places.map(({ storeKey }) => storeKey)).size).toBe(5)
    expect(await setUp().records.placeOf({ ...request }, 'secret')).toMatchObject({ storeKey: places[0].storeKey })
  })

  it.each([undefined, null])('that the store does not have is not an event, and is not removed: %p', async nothing => {
    const { records, removed, events } = setUp(() => nothing)
    expect(await records.read(request, await records.placeOf(request, 'secret'))).toBe('absent')
    const { accepted } = await records.remove(request, { onlyCovered: true })
    expect([await accepted, removed, events]).toEqual([true, [], []])
  })

  it('that cannot be decrypted is absent, with an event', async () => {
    const { records, events } = setUp(() => 'garbage')
    expect(await records.read(request, await records.placeOf(request, 'secret'))).toBe('absent')
    expect(events).toEqual([{ type: 'store-failure', operation: 'get', reason: 'corrupt' }])
  })

  it('that the store cannot read now is not removed, because it may be newer: the removal is not accepted', async () => {
    const { records, removed } = setUp(() => Promise.reject(new Error('down')))
    const { accepted } = await records.remove(request, { onlyCovered: true })
    expect([await accepted, removed]).toEqual([false, []])
  })

  it('leaves no timer behind when it has been removed', async () => {
    const { records, clock } = setUp()
    const { accepted } = await records.remove(request, { onlyCovered: false })
    expect([await accepted, clock.sleepers]).toEqual([true, 0])
  })

  it('does not wait for keys that another call never derives', async () => {
    const { records } = setUp()
    const importKey = jest.spyOn(crypto.subtle, 'importKey').mockReturnValueOnce(new Promise(() => undefined))
    afterThisTest(async () => importKey.mockRestore())
    void records.placeOf(request, 'secret')
    expect(await records.placeOf({ ...request }, 'secret')).toMatchObject({ origin: GATEWAY })
  })
})
