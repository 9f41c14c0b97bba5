import { describe, expect, it } from '@jest/globals'
import { createHmac } from 'node:crypto'
import { Events } from '../../../lib/core/events.js'
import { InvalidationChannel } from '../../../lib/store/invalidation-channel.js'
import { channelOf, sealMessage } from '../../../lib/store/invalidation-message.js'
import type { Invalidation } from '../../../lib/store/invalidation.js'
import { deriveStoreKeys, type StoreKeys } from '../../../lib/store/record-crypto.js'
import { StoreGuard } from '../../../lib/store/store-guard.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { afterThisTest, recordEvents } from '../../support/gateway.js'
import { MemoryStore } from '../../support/memory-store.js'
import { seededRandom } from '../../support/random.js'
import { untilTrue } from '../../support/until.js'

const ORIGIN = 'https://gateway.video.io/v1/sessions'
const keys = await deriveStoreKeys('the app secret')
const CHANNEL = channelOf(keys)
const invalidation: Invalidation = { request: { identity: 'user', scopes: ['videos.read'] }, untilMs: 1_000 }
const START = { type: 'subscription-start' } as const
const lost = (reason: string) => ({ type: 'subscription-loss', reason })
const failed = (operation: string, reason = 'error') => ({ type: 'store-failure', operation, reason })

interface SetUp {
  readonly store: MemoryStore
  readonly clock: FakeClock
  readonly ownKeys: StoreKeys
}

function setUp({ store, clock = new FakeClock(), ownKeys = keys }: Partial<SetUp> = {}) {
  const shared = store ?? new MemoryStore(clock)
  const { events: emitted, types, onEvent } = recordEvents()
  const events = new Events(onEvent)
  const random = seededRandom()
  const received: Invalidation[] = []
  const calls = { starts: 0, pings: 0 }
  const channel = new InvalidationChannel({
    ...{ store: shared, keys: ownKeys, origin: ORIGIN, clock, events, random },
    guard: new StoreGuard({ store: shared, clock, events, random }),
    onInvalidation: each => void received.push(each),
    onStart: () => calls.starts++,
    onPing: () => calls.pings++,
  })
  afterThisTest(async () => channel.close())
  const types$ = (type: string): number => types().filter(each => each === type).length
  return { clock, store: shared, channel, emitted, count: types$, received, calls }
}

async function setUpSubscribed(options?: Parameters<typeof setUp>[0]) {
  const all = setUp(options)
  await all.clock.advance(0)
  expect(all.emitted).toEqual([START])
  all.emitted.length = 0
  return all
}

/** A message that only looks right. */
function forge(number: number): string {
  const mac = createHmac('sha256', 'guess').update(String(number)).digest('base64url')
  return `${mac}.1.AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA`
}

const seal = (untilMs: number): Promise<string> => sealMessage({ ...invalidation, untilMs }, ORIGIN, keys)

describe('an invalidation channel', () => {
  it('tells other processes, and not the one that sends', async () => {
    const one = await setUpSubscribed()
    const other = await setUpSubscribed(one)
    expect(await one.channel.publish(invalidation)).toBe(true)
    await untilTrue(() => other.received.length > 0)
    expect(other.received).toEqual([invalidation])
    expect(one.received).toEqual([])
    expect(one.emitted).toEqual([{ type: 'invalidation-sent' }])
    expect(other.emitted).toEqual([])
  })

  it('uses a message once, however often it arrives', async () => {
    const { store, received, emitted } = await setUpSubscribed()
    const [replayed, last] = [await seal(1), await seal(2)]
    for (let i = 0; i < 100; i++) await store.publish(CHANNEL, replayed)
    await store.publish(CHANNEL, last)
    await untilTrue(() => received.some(({ untilMs }) => untilMs === 2))
    expect(received.map(({ untilMs }) => untilMs)).toEqual([1, 2])
    expect(emitted).toEqual([])
  })

  it('ignores its own message that is replayed', async () => {
    const { store, channel, received } = await setUpSubscribed()
    await channel.publish(invalidation)
    await store.publish(CHANNEL, store.messages[0]?.message ?? '')
    await store.publish(CHANNEL, await seal(2))
    await untilTrue(() => received.length > 0)
    expect(received.map(({ untilMs }) => untilMs)).toEqual([2])
  })

  it('ignores a message for another gateway, without an event', async () => {
    const { store, received, emitted } = await setUpSubscribed()
    await store.publish(CHANNEL, await sealMessage(invalidation, 'https://other.example/v1/sessions', keys))
    await store.publish(CHANNEL, await seal(2))
    await untilTrue(() => received.length > 0)
    expect(received.map(({ untilMs }) => untilMs)).toEqual([2])
    expect(emitted).toEqual([])
  })

  it.each<[string, unknown]>([
    ['is forged', forge(1)],
    ['is empty', ''],
    ['is too long', 'x'.repeat(256 * 1024 + 1)],
    ['is not text', { toString: () => 'text' }],
    ['is a buffer', Buffer.from('text')],
    ['is missing', undefined],
  ])('refuses a message that %s', async (_, message) => {
    const { store, clock, received, emitted } = await setUpSubscribed()
    await store.publish(CHANNEL, message as string)
    await clock.advance(0)
    expect(emitted).toEqual([failed('message', 'corrupt')])
    expect(received).toEqual([])
  })

  it('refuses a message of which a part was altered', async () => {
    const { store, clock, received, count } = await setUpSubscribed()
    const message = await seal(1)
    await store.publish(CHANNEL, message.slice(0, -1))
    await store.publish(CHANNEL, `A${message}`)
    await clock.advance(0)
    expect(count('store-failure')).toBe(2)
    expect(received).toEqual([])
  })

  it('refuses an authentic message that it cannot read, such as one of another version', async () => {
    const { store, received, emitted } = await setUpSubscribed()
    const sealed = (await seal(1)).replace(/^[^.]*\.1\./, '.2.')
    const mac = createHmac('sha256', keys.messageMac).update(CHANNEL).update(sealed).digest('base64url')
    await store.publish(CHANNEL, mac + sealed)
    await untilTrue(() => emitted.length > 0)
    expect([emitted, received]).toEqual([[failed('message', 'corrupt')], []])
  })

  it('reports refused messages at most twice at once, and once a second', async () => {
    const { store, clock, count } = await setUpSubscribed()
    for (let i = 0; i < 100; i++) await store.publish(CHANNEL, forge(i))
    expect(count('store-failure')).toBe(2)
    await clock.advance(1_000)
    for (let i = 0; i < 100; i++) await store.publish(CHANNEL, forge(i))
    expect(count('store-failure')).toBe(3)
  })

  it('sends nothing after close', async () => {
    const { store, channel, emitted } = await setUpSubscribed()
    const pending = channel.publish(invalidation)
    channel.close()
    expect([await pending, await channel.publish(invalidation)]).toEqual([false, false])
    expect(store.messages).toEqual([])
    expect(emitted).toEqual([])
  })

  it('returns false if the message cannot be encrypted', async () => {
    const { store, channel } = await setUpSubscribed({ ownKeys: { ...keys, message: keys.index } })
    expect([await channel.publish(invalidation), store.messages]).toEqual([false, []])
  })

  it('returns false, with an event, if the store does not accept a message', async () => {
    const { store, channel, emitted } = await setUpSubscribed()
    store.failing.add('publish')
    expect(await channel.publish(invalidation)).toBe(false)
    expect(emitted).toEqual([failed('publish')])
  })

  it('returns false after 100 ms if the store does not answer', async () => {
    const { store, clock, channel, emitted } = await setUpSubscribed()
    store.hold('publish')
    const sent = channel.publish(invalidation)
    await untilTrue(() => store.operations.some(({ operation }) => operation === 'publish'))
    await clock.advance(100)
    expect(await sent).toBe(false)
    expect(emitted).toEqual([failed('publish', 'timeout')])
  })
})

describe('a flood of messages', () => {
  it('that are forged, 5,000 a second, hides no authentic message', async () => {
    const { store, clock, received, count } = await setUpSubscribed()
    for (let tenth = 0; tenth < 100; tenth++) {
      for (let i = 0; i < 500; i++) await store.publish(CHANNEL, forge(tenth * 500 + i))
      await store.publish(CHANNEL, await seal(tenth))
      await clock.advance(100)
    }
    await untilTrue(() => received.length === 100)
    expect(received.map(({ untilMs }) => untilMs).sort((a, b) => a - b)).toEqual([...Array(100).keys()])
    expect(count('subscription-loss')).toBe(0)
  })

  it('that were seen before costs no decryption', async () => {
    const { store, clock, received, count } = await setUpSubscribed()
    const message = await seal(1)
    for (let tenth = 0; tenth < 20; tenth++) {
      for (let i = 0; i < 500; i++) await store.publish(CHANNEL, message)
      await clock.advance(100)
    }
    expect(received).toHaveLength(1)
    expect(count('subscription-loss')).toBe(0)
  })

  it('that are long pauses before as many as of short ones', async () => {
    const { store, count } = await setUpSubscribed()
    for (let i = 0; i < 1_000; i++) await store.publish(CHANNEL, `${forge(i)}${'A'.repeat(200_000)}`)
    expect(count('subscription-loss')).toBe(1)
  })

  it('that are authentic pauses for a second, and ends with a start', async () => {
    const { store, clock, received, emitted, calls } = await setUpSubscribed()
    const messages = await Promise.all(Array.from({ length: 500 }, (_, i) => seal(i)))
    for (const message of messages) await store.publish(CHANNEL, message)
    expect(emitted).toEqual([lost('flood')])
    expect(calls.starts).toBe(1)
    // 20,000 units, and 41 of them for each message.
    await untilTrue(() => received.length === 487)
    await clock.advance(999)
    await store.publish(CHANNEL, await seal(1_000))
    expect(emitted).toEqual([lost('flood')])
    await clock.advance(1)
    expect(emitted).toEqual([lost('flood'), START])
    expect(calls.starts).toBe(2)
    await store.publish(CHANNEL, await seal(1_001))
    await untilTrue(() => received.length === 488)
    expect(received.at(-1)?.untilMs).toBe(1_001)
  })

  it('does not look ended while the connection is lost too', async () => {
    const { store, clock, emitted } = await setUpSubscribed()
    for (let i = 0; i < 20_001; i++) await store.publish(CHANNEL, forge(i))
    store.refusesSubscriptions = true
    store.loseSubscriptions()
    await clock.advance(5_000)
    expect(emitted).not.toContainEqual(START)
    store.refusesSubscriptions = false
    await clock.advance(1_000)
    expect(emitted.at(-1)).toEqual(START)
  })

  it('does not look ended when a lost connection is back', async () => {
    const { store, clock, emitted } = await setUpSubscribed()
    for (let i = 0; i < 20_001; i++) await store.publish(CHANNEL, forge(i))
    store.loseSubscriptions()
    await clock.advance(500)
    expect(store.subscriptions).toBe(1)
    expect(emitted).not.toContainEqual(START)
    await clock.advance(500)
    expect(emitted.filter(({ type }) => type === 'subscription-start')).toEqual([START])
  })

  it('does not look ended while the subscription is still being opened', async () => {
    const clock = new FakeClock()
    const store = new MemoryStore(clock)
    store.subscribe = (_, listener) => {
      for (let i = 0; i < 20_001; i++) listener.onMessage(forge(i))
      return new Promise(() => undefined)
    }
    const { emitted } = setUp({ store, clock })
    await clock.advance(1_000)
    expect(emitted).toContainEqual(lost('flood'))
    expect(emitted).not.toContainEqual(START)
  })

  it('leaves no timer after close', async () => {
    const { store, clock, channel, emitted } = await setUpSubscribed()
    for (let i = 0; i < 20_001; i++) await store.publish(CHANNEL, forge(i))
    channel.close()
    await clock.advance(0)
    expect(clock.sleepers).toBe(0)
    await clock.advance(10_000)
    expect(emitted).not.toContainEqual(START)
  })
})

describe('a subscription', () => {
  it('that fails is tried again, at longer intervals', async () => {
    const clock = new FakeClock()
    const store = new MemoryStore(clock)
    store.refusesSubscriptions = true
    const { emitted, calls } = setUp({ store, clock })
    const times: number[] = []
    for (let ms = 0; ms < 4_000; ms += 10) {
      await clock.advance(ms === 0 ? 0 : 10)
      while (times.length < store.operations.length) times.push(clock.monotonic())
    }
    const waits = times.slice(1).map((time, index) => time - (times[index] ?? 0))
    expect(waits.length).toBeGreaterThan(5)
    for (const [failures, ms] of waits.entries()) {
      const ceiling = Math.min(500, 100 * 2 ** failures)
      expect(ms).toBeGreaterThanOrEqual(ceiling / 2 - 10)
      expect(ms).toBeLessThanOrEqual(ceiling + 10)
    }
    expect(emitted).toEqual(times.map(() => failed('subscribe')))
    store.refusesSubscriptions = false
    await clock.advance(510)
    expect(emitted.at(-1)).toEqual(START)
    expect(calls.starts).toBe(1)
  })

  it('that throws is tried again', async () => {
    const clock = new FakeClock()
    const store = new MemoryStore(clock)
    const subscribe = store.subscribe.bind(store)
    store.subscribe = () => {
      throw new Error('boom')
    }
    const { emitted } = setUp({ store, clock })
    await clock.advance(0)
    store.subscribe = subscribe
    await clock.advance(100)
    expect(emitted).toEqual([failed('subscribe'), START])
  })

  it('that takes longer than 5 s is tried again, and is closed if it comes late', async () => {
    const clock = new FakeClock()
    const store = new MemoryStore(clock)
    const release = store.hold('subscribe')
    const { emitted } = setUp({ store, clock })
    await clock.advance(4_999)
    expect(emitted).toEqual([])
    await clock.advance(101)
    expect(emitted).toEqual([failed('subscribe')])
    expect(store.operations).toHaveLength(2)
    release()
    await clock.advance(0)
    expect(emitted).toEqual([failed('subscribe'), START])
    expect(store.subscriptions).toBe(1)
  })

  it('that is lost starts again', async () => {
    const { store, clock, emitted, calls } = await setUpSubscribed()
    store.loseSubscriptions()
    await clock.advance(0)
    expect(emitted).toEqual([lost('connection')])
    await clock.advance(100)
    expect(emitted).toEqual([lost('connection'), START])
    expect([store.subscriptions, calls.starts]).toEqual([1, 2])
  })

  it('that is lost several times is one loss', async () => {
    const { store, clock, emitted } = await setUpSubscribed()
    const subscribe = store.subscribe.bind(store)
    const losses: (() => void)[] = []
    store.subscribe = async (channel, listener) => {
      losses.push(() => listener.onLost())
      return subscribe(channel, listener)
    }
    store.loseSubscriptions()
    await clock.advance(100)
    emitted.length = 0
    for (let i = 0; i < 3; i++) losses[0]?.()
    await clock.advance(100)
    losses[0]?.()
    await clock.advance(1_000)
    expect(emitted).toEqual([lost('connection'), START])
  })

  it('that is lost before it starts is a failure', async () => {
    const clock = new FakeClock()
    const store = new MemoryStore(clock)
    const subscribe = store.subscribe.bind(store)
    store.subscribe = async (channel, listener) => {
      const subscription = await subscribe(channel, listener)
      listener.onLost()
      return subscription
    }
    const { emitted } = setUp({ store, clock })
    await clock.advance(0)
    expect(emitted).toEqual([failed('subscribe')])
    expect(store.subscriptions).toBe(0)
  })

  it('that is lost silently is found by a ping within 5 s', async () => {
    const { store, clock, emitted, calls } = await setUpSubscribed()
    await clock.advance(5_000)
    expect(calls.pings).toBe(1)
    store.loseSubscriptions({ silently: true })
    await clock.advance(5_000)
    expect(emitted).toEqual([lost('connection')])
    expect(calls.pings).toBe(1)
    await clock.advance(100)
    expect(emitted.at(-1)).toEqual(START)
  })

  it.each<[string, () => unknown, number]>([
    ['hangs', () => new Promise(() => undefined), 7_000],
    [
      'throws',
      () => {
        throw new Error('boom')
      },
      5_000,
    ],
    ['rejects', () => Promise.reject(new Error('boom')), 5_000],
  ])('whose ping %s is lost', async (_, ping, afterMs) => {
    const clock = new FakeClock()
    const store = new MemoryStore(clock)
    let closed = 0
    store.subscribe = async () => ({ ping, close: () => closed++ })
    const { emitted } = setUp({ store, clock })
    await clock.advance(afterMs - 1)
    expect(emitted).toEqual([START])
    await clock.advance(1)
    expect(emitted).toEqual([START, lost('connection')])
    expect(closed).toBe(1)
  })

  it('without a ping stays', async () => {
    const clock = new FakeClock()
    const store = new MemoryStore(clock)
    store.subscribe = async () => ({ close: () => undefined })
    const { emitted } = setUp({ store, clock })
    await clock.advance(60_000)
    expect(emitted).toEqual([START])
  })

  it('whose close fails is lost like any other', async () => {
    const clock = new FakeClock()
    const store = new MemoryStore(clock)
    const closes: (() => unknown)[] = [
      () => Promise.reject(new Error('boom')),
      () => {
        throw new Error('boom')
      },
    ]
    store.subscribe = async (_, listener) => (listener.onLost(), { close: closes.shift() ?? (() => undefined) })
    const { emitted } = setUp({ store, clock })
    await clock.advance(1_000)
    expect(emitted.length).toBeGreaterThan(2)
    expect(closes).toEqual([])
  })
})

describe('close', () => {
  const states: [string, (store: MemoryStore, clock: FakeClock) => Promise<() => void>][] = [
    ['at once', async () => () => undefined],
    [
      'while it subscribes',
      async (store, clock) => {
        const release = store.hold('subscribe')
        await clock.advance(10)
        return release
      },
    ],
    [
      'after the time limit of a subscription',
      async (store, clock) => {
        const release = store.hold('subscribe')
        await clock.advance(5_010)
        return release
      },
    ],
    [
      'before a retry',
      async (store, clock) => {
        store.refusesSubscriptions = true
        await clock.advance(10)
        return () => undefined
      },
    ],
    ['while subscribed', async (_, clock) => (await clock.advance(10), () => undefined)],
    [
      'after a loss',
      async (store, clock) => {
        await clock.advance(10)
        store.loseSubscriptions()
        await clock.advance(1)
        return () => undefined
      },
    ],
    [
      'during a ping',
      async (store, clock) => {
        const subscribe = store.subscribe.bind(store)
        store.subscribe = async (channel, listener) => ({
          ...(await subscribe(channel, listener)),
          ping: () => new Promise(() => undefined),
        })
        await clock.advance(5_010)
        store.loseSubscriptions()
        await clock.advance(5_510)
        return () => undefined
      },
    ],
  ]

  it.each(states)('%s leaves no timer and no subscription, and emits nothing', async (_, enter) => {
    const clock = new FakeClock()
    const store = new MemoryStore(clock)
    const { channel, emitted, calls } = setUp({ store, clock })
    const release = await enter(store, clock)
    const { starts } = calls
    emitted.length = 0
    channel.close()
    await clock.advance(0)
    expect(clock.sleepers).toBe(0)
    release()
    await clock.advance(60_000)
    expect([store.subscriptions, clock.sleepers, calls.starts]).toEqual([0, 0, starts])
    expect(emitted).toEqual([])
  })

  it('ignores the messages that arrive afterwards', async () => {
    const { store, clock, channel, received } = await setUpSubscribed()
    const message = await seal(1)
    const sent = store.publish(CHANNEL, message)
    channel.close()
    await sent
    await clock.advance(0)
    expect(received).toEqual([])
  })
})
