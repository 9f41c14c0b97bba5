import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import type { StoreListener, StoreSubscription, TokenStore } from '../../lib/index.js'
import { untilTrue } from './until.js'

export interface OpenStore {
  readonly store: TokenStore
  /** Lets a few milliseconds of the store's clock pass. Not needed for a store on the clock of the machine. */
  readonly passTime?: () => Promise<void>
  readonly end?: () => Promise<void>
}

export interface StoreKind {
  /** A `Map` keeps its entries forever. */
  readonly expires: boolean
  readonly hasLeases: boolean
  readonly hasMessages: boolean
  readonly open: () => Promise<OpenStore>
}

const HOUR = 3_600_000

/** Declares the tests of the contract of `TokenStore`. */
export function testStoreContract({ expires, hasLeases, hasMessages, open }: StoreKind): void {
  let opened: OpenStore
  beforeAll(async () => void (opened = await open()), 60_000)
  afterAll(() => opened.end?.(), 60_000)

  const key = (): string => `vkit:1:contract:${randomUUID()}`
  const eventually = (condition: () => boolean | Promise<boolean>): Promise<void> =>
    untilTrue(async () => {
      await opened.passTime?.()
      return condition()
    })

  describe('records', () => {
    it('has nothing for a key that was never set', async () => {
      expect((await opened.store.get(key())) ?? undefined).toBeUndefined()
    })

    it('returns the last text that was set for a key', async () => {
      const [one, other] = [key(), key()]
      await opened.store.set(one, 'first', HOUR)
      await opened.store.set(one, 'second', HOUR)
      await opened.store.set(other, 'third', HOUR)
      expect([await opened.store.get(one), await opened.store.get(other)]).toEqual(['second', 'third'])
    })

    it('returns a long text', async () => {
      const [long, text] = [key(), 'x'.repeat(200 * 1024)]
      await opened.store.set(long, text, HOUR)
      expect(await opened.store.get(long)).toBe(text)
    })

    it('has nothing after a deletion, also of a missing key', async () => {
      const one = key()
      await opened.store.set(one, 'text', HOUR)
      await opened.store.delete(one)
      await opened.store.delete(one)
      expect((await opened.store.get(one)) ?? undefined).toBeUndefined()
    })

    if (expires) {
      it('has nothing after the time to live', async () => {
        const one = key()
        await opened.store.set(one, 'text', 1)
        await eventually(async () => ((await opened.store.get(one)) ?? undefined) === undefined)
      })
    }
  })

  it('has the optional methods of its kind', () => {
    const methods = ['acquireLease', 'releaseLease', 'publish', 'subscribe'] as const
    const has = [hasLeases, hasLeases, hasMessages, hasMessages]
    expect(methods.map(name => opened.store[name] !== undefined)).toEqual(has)
  })
  if (!hasLeases) return

  const full = (): Required<TokenStore> => opened.store as Required<TokenStore>

  describe('leases', () => {
    const acquire = async (...args: [key: string, holder: string, ttlMs: number]): Promise<boolean> =>
      full().acquireLease(...args)

    it('gives a free lease to one of many holders', async () => {
      const one = key()
      const holders = Array.from({ length: 20 }, () => randomUUID())
      const taken = await Promise.all(holders.map(holder => acquire(one, holder, HOUR)))
      expect(taken.filter(Boolean)).toHaveLength(1)
      expect(await Promise.all(holders.map(holder => acquire(one, holder, HOUR)))).toEqual(taken)
    })

    it('separates keys, and leases from records', async () => {
      const [one, other] = [key(), key()]
      await full().set(one, 'text', HOUR)
      expect(await acquire(one, 'a', HOUR)).toBe(true)
      expect(await acquire(other, 'b', HOUR)).toBe(true)
      expect([await full().get(one), (await full().get(other)) ?? undefined]).toEqual(['text', undefined])
      await full().delete(one)
      expect(await acquire(one, 'b', HOUR)).toBe(false)
    })

    it('frees a lease for its holder only', async () => {
      const one = key()
      await acquire(one, 'a', HOUR)
      await full().releaseLease(one, 'b')
      expect(await acquire(one, 'b', HOUR)).toBe(false)
      await full().releaseLease(one, 'a')
      expect(await acquire(one, 'b', HOUR)).toBe(true)
      await full().releaseLease(key(), 'a')
    })

    it('does not take a holder for another whose name it begins with', async () => {
      const one = key()
      await acquire(one, 'holder-1', HOUR)
      expect(await acquire(one, 'holder', HOUR)).toBe(false)
      expect(await acquire(one, 'holder-12', HOUR)).toBe(false)
      await full().releaseLease(one, 'holder')
      expect(await acquire(one, 'holder-12', HOUR)).toBe(false)
    })

    it('frees a lease after its time to live, for good', async () => {
      const one = key()
      await acquire(one, 'a', 1)
      await eventually(() => acquire(one, 'b', HOUR))
      expect(await acquire(one, 'a', HOUR)).toBe(false)
      await full().releaseLease(one, 'a')
      expect(await acquire(one, 'a', HOUR)).toBe(false)
    })

    it('replaces the time to live when the holder takes the lease again', async () => {
      const one = key()
      await acquire(one, 'a', HOUR)
      await acquire(one, 'a', 1)
      await eventually(() => acquire(one, 'b', HOUR))
    })
  })

  if (!hasMessages) return

  describe('messages', () => {
    /** A subscription that records. `until` resolves when a message has arrived. */
    async function listen(channel: string) {
      const messages: string[] = []
      const losses: string[] = []
      const listener: StoreListener = {
        onMessage: message => void messages.push(message),
        onLost: () => void losses.push('lost'),
      }
      const subscription: StoreSubscription = await full().subscribe(channel, listener)
      return { messages, losses, subscription, until: (text: string) => untilTrue(() => messages.includes(text)) }
    }

    it('arrive in order at every subscription of the channel', async () => {
      const [channel, other] = [key(), key()]
      const listeners = await Promise.all([channel, channel, other].map(listen))
      const sent = ['one', 'two — ünïcode', JSON.stringify({ three: '\0\r\n' }), 'x'.repeat(200 * 1024)]
      for (const message of sent) await full().publish(channel, message)
      for (const name of [channel, other]) await full().publish(name, 'last')
      await Promise.all(listeners.map(({ until }) => until('last')))
      expect(listeners.map(({ messages }) => messages)).toEqual([[...sent, 'last'], [...sent, 'last'], ['last']])
      await Promise.all(listeners.map(({ subscription }) => subscription.close()))
    })

    it('no longer arrive after close, which is not a loss', async () => {
      const channel = key()
      const [closed, open] = [await listen(channel), await listen(channel)]
      await closed.subscription.close()
      await closed.subscription.close()
      await full().publish(channel, 'last')
      await open.until('last')
      expect([closed.messages, closed.losses, open.losses]).toEqual([[], [], []])
      await open.subscription.close()
    })

    it('are not an error without a subscription', async () => {
      await full().publish(key(), 'text')
    })

    it('have a ping that resolves while they arrive, and rejects after close', async () => {
      const { subscription } = await listen(key())
      await subscription.ping?.()
      await subscription.close()
      await expect(Promise.resolve().then(() => subscription.ping?.())).rejects.toThrow()
    })
  })
}
