import { describe, expect, it } from '@jest/globals'
import { Events } from '../../../lib/core/events.js'
import { InvalidationChannels } from '../../../lib/store/invalidation-channels.js'
import { channelOf } from '../../../lib/store/invalidation-message.js'
import type { ReceivedInvalidation } from '../../../lib/store/invalidation.js'
import { deriveStoreKeys, type StoreKeys } from '../../../lib/store/record-crypto.js'
import type { TokenStore } from '../../../lib/store/token-store.js'
import { StoreGuard } from '../../../lib/store/store-guard.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { afterThisTest, recordEvents } from '../../support/gateway.js'
import { MemoryStore } from '../../support/memory-store.js'
import { seededRandom } from '../../support/random.js'
import { untilTrue } from '../../support/until.js'

const [OLD, NEW, NEWEST] = (await Promise.all(['old', 'new', 'newest'].map(deriveStoreKeys))) as [
  StoreKeys,
  StoreKeys,
  StoreKeys,
]
const invalidation = { request: { identity: 'user', scopes: [] }, untilMs: 1_000 }

function setUp(clock = new FakeClock(), store: TokenStore = new MemoryStore(clock)) {
  const { types, onEvent } = recordEvents()
  const events = new Events(onEvent)
  const random = seededRandom()
  const received: ReceivedInvalidation[] = []
  const channels = new InvalidationChannels({
    ...{ store, clock, events, random },
    guard: new StoreGuard({ store, clock, events, random }),
    endpoint: () => new URL('https://gateway.video.io/v1/sessions'),
    onInvalidation: each => void received.push(each),
    onStart: () => undefined,
    onPing: () => undefined,
  })
  afterThisTest(async () => channels.close())
  return { channels, received, types }
}

/** Two processes with one store. */
function setUpTwo() {
  const clock = new FakeClock()
  const store = new MemoryStore(clock)
  const [one, other] = [setUp(clock, store), setUp(clock, store)]
  const subscribed = (): string[] =>
    store.operations.flatMap(({ operation, key }) => (operation === 'subscribe' ? [key] : []))
  return { clock, store, one, other, subscribed }
}

describe('the channels of a process', () => {
  it('are none before an app secret is known', async () => {
    const { clock, store, one } = setUpTwo()
    expect(one.channels.canPublish).toBe(true)
    expect(await one.channels.publish({ ...invalidation, sessionToken: undefined })).toBe(true)
    await clock.advance(60_000)
    expect(store.operations).toEqual([])
  })

  it('are one for an app secret, however often it is used', async () => {
    const { clock, one, subscribed } = setUpTwo()
    for (let i = 0; i < 3; i++) one.channels.use(OLD)
    await clock.advance(0)
    expect(subscribed()).toEqual([channelOf(OLD)])
  })

  it('are those of the current and of the previous secret during a rotation', async () => {
    const { clock, store, one } = setUpTwo()
    one.channels.use(OLD)
    one.channels.use(NEW)
    await clock.advance(0)
    expect(store.subscriptions).toBe(2)
    await one.channels.publish({ ...invalidation, sessionToken: undefined })
    expect(store.messages.map(({ channel }) => channel).sort()).toEqual([OLD, NEW].map(channelOf).sort())
  })

  it('reach a process that has not rotated yet, and are reached by it', async () => {
    const { clock, one, other } = setUpTwo()
    one.channels.use(OLD)
    one.channels.use(NEW)
    other.channels.use(OLD)
    await clock.advance(0)
    await one.channels.publish({ ...invalidation, sessionToken: undefined })
    await untilTrue(() => other.received.length > 0)
    await other.channels.publish({ ...invalidation, untilMs: 2_000, sessionToken: undefined })
    await untilTrue(() => one.received.length > 0)
    expect(other.received).toEqual([{ ...invalidation, isToken: undefined }])
    expect(one.received).toEqual([{ ...invalidation, untilMs: 2_000, isToken: undefined }])
  })

  it('name a token by the HMAC of each secret', async () => {
    const { clock, one, other } = setUpTwo()
    for (const { channels } of [one, other]) [OLD, NEW].forEach(keys => channels.use(keys))
    await clock.advance(0)
    await one.channels.publish({ ...invalidation, sessionToken: 'token' })
    await untilTrue(() => other.received.length > 1)
    const recognized = (text: string) => other.received.map(({ isToken }) => isToken?.(text))
    expect([recognized('token'), recognized('another')]).toEqual([
      [true, true],
      [false, false],
    ])
  })

  it('are never three: the oldest is closed', async () => {
    const { clock, store, one } = setUpTwo()
    for (const keys of [OLD, NEW, NEWEST]) one.channels.use(keys)
    await clock.advance(0)
    expect(store.subscriptions).toBe(2)
    await one.channels.publish({ ...invalidation, sessionToken: undefined })
    expect(store.messages.map(({ channel }) => channel).sort()).toEqual([NEW, NEWEST].map(channelOf).sort())
  })

  it('stay when two secrets are used in turn', async () => {
    const { clock, store, one, subscribed } = setUpTwo()
    for (const keys of [OLD, NEW, OLD, NEW, OLD]) one.channels.use(keys)
    await clock.advance(0)
    expect(store.subscriptions).toBe(2)
    expect(subscribed()).toHaveLength(2)
  })

  it('report that one of them did not accept a message', async () => {
    const { clock, store, one } = setUpTwo()
    ;[OLD, NEW].forEach(keys => one.channels.use(keys))
    await clock.advance(0)
    const publish = store.publish.bind(store)
    store.publish = async (channel, message) => {
      if (channel === channelOf(OLD)) throw new Error('no permission')
      await publish(channel, message)
    }
    expect(await one.channels.publish({ ...invalidation, sessionToken: undefined })).toBe(false)
    expect(one.types()).toContain('store-failure')
  })

  it('do nothing after close', async () => {
    const { clock, store, one } = setUpTwo()
    one.channels.use(OLD)
    await clock.advance(0)
    one.channels.close()
    one.channels.use(NEW)
    expect(one.channels.canPublish).toBe(false)
    await one.channels.publish({ ...invalidation, sessionToken: undefined })
    await clock.advance(60_000)
    expect([store.subscriptions, store.messages.length, clock.sleepers]).toEqual([0, 0, 0])
  })

  const method = (): Promise<never> => new Promise(() => undefined)
  it.each([{}, { publish: method }, { subscribe: method }])(
    'do nothing with a store without messages (%#)',
    async half => {
      const { channels, types } = setUp(new FakeClock(), Object.assign(new Map<string, string>(), half))
      channels.use(OLD)
      expect(channels.canPublish).toBe(false)
      expect(await channels.publish({ ...invalidation, sessionToken: undefined })).toBe(true)
      expect(types()).toEqual([])
    },
  )
})
