import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { inspect } from 'node:util'
import { VKitConfigError } from '../../../lib/index.js'
import type { Subscriber, SubscriberListener } from '../../../lib/store/redis/connection.js'
import { createRedisStore, type RedisClient } from '../../../lib/store/redis/index.js'
import { openSubscription } from '../../../lib/store/redis/subscription.js'

afterEach(() => void jest.useRealTimers())

const method = (): undefined => undefined

describe('createRedisStore', () => {
  const throwing = new Proxy(
    {},
    {
      get: () => {
        throw new Error('password')
      },
    },
  )
  it.each([
    undefined,
    null,
    'redis://:password@localhost',
    () => 'password',
    { host: 'localhost', password: 'password' },
    Promise.resolve({ password: 'password' }),
    throwing,
    // A client of node-redis 3, and what createSentinel returns.
    { set: method, del: method, eval: method, publish: method, duplicate: method },
    { getRange: method, set: method, del: method, eval: method, evalSha: method, publish: method, duplicate: method },
  ])('refuses %#, and shows nothing of it', client => {
    const create = (): unknown => createRedisStore(client as RedisClient)
    expect(create).toThrow(VKitConfigError)
    expect(create).toThrow(
      'createRedisStore needs a client of node-redis (createClient, createCluster) or ioredis (Redis, Cluster), ' +
        'version 5 or later. Pass the client itself, not a promise, a URL or options. With Sentinel, use ioredis.',
    )
    try {
      create()
    } catch (error) {
      expect(inspect(error, { depth: 9 }).replace(/\n {4}at .*/g, '')).not.toContain('password')
    }
  })

  const storeOf = (reply: unknown) =>
    createRedisStore({ call: async () => Promise.resolve(reply), duplicate: method, disconnect: method })

  it.each([[['text']], [['OK']], [1], [{}], [true]])('rejects if Redis returns %j', async reply => {
    const store = storeOf(reply)
    await expect(store.get('key')).rejects.toThrow('The reply of Redis is not a text.')
    await expect(store.set('key', 'text', 1)).rejects.toThrow('Redis has not stored the record.')
  })

  it.each([[null], ['OK'], [2], [[1]]])('does not take %j for a lease', async reply => {
    const acquired = storeOf(reply).acquireLease('key', 'holder', 1)
    await expect(acquired).rejects.toThrow('The reply of Redis is neither 0 nor 1.')
  })

  it.each<[unknown, boolean]>([
    [1, true],
    ['1', true],
    [1n, true],
    [Buffer.from('1'), true],
    [0, false],
    ['0', false],
  ])('returns for %p whether it has a lease: %p', async (reply, isHeld) => {
    expect(await storeOf(reply).acquireLease('key', 'holder', 1)).toBe(isHeld)
  })

  it('does not send a script again after another error', async () => {
    const call = jest.fn<(...command: string[]) => Promise<unknown>>().mockRejectedValue(new Error('READONLY'))
    const store = createRedisStore({ call, duplicate: method, disconnect: method })
    await expect(store.acquireLease('key', 'holder', 1)).rejects.toThrow('READONLY')
    expect(call.mock.calls.map(([command]) => command)).toEqual(['evalsha'])
  })
})

describe('a subscription', () => {
  class FakeSubscriber implements Subscriber {
    ends = 0
    fail: (error: Error) => void = method
    succeed: () => void = method
    listener: SubscriberListener | undefined

    start(_channel: string, listener: SubscriberListener): Promise<void> {
      this.listener = listener
      return new Promise((resolve, reject) => ([this.succeed, this.fail] = [resolve, reject]))
    }
    ping = async (): Promise<string> => Promise.resolve('PONG')
    end(): void {
      this.ends++
      this.listener?.onLost(new Error('ended'))
    }
  }

  function open() {
    const subscriber = new FakeSubscriber()
    const listener = { onMessage: jest.fn(), onLost: jest.fn() }
    return { subscriber, listener, opened: openSubscription(subscriber, 'channel', listener) }
  }

  it('ends its connection and rejects if Redis refuses it', async () => {
    const { subscriber, listener, opened } = open()
    subscriber.fail(new Error('NOPERM'))
    await expect(opened).rejects.toThrow('NOPERM')
    expect([subscriber.ends, listener.onLost.mock.calls]).toEqual([1, []])
  })

  it('ends its connection and rejects if it is lost before it is open', async () => {
    const { subscriber, listener, opened } = open()
    subscriber.listener?.onLost()
    subscriber.succeed()
    await expect(opened).rejects.toThrow('The connection has ended.')
    subscriber.listener?.onMessage(Buffer.from('late'))
    expect([subscriber.ends, listener.onLost.mock.calls, listener.onMessage.mock.calls]).toEqual([1, [], []])
  })

  it('ends its connection and rejects if Redis does not respond for 5 s', async () => {
    jest.useFakeTimers()
    const { subscriber, opened } = open()
    const failed = expect(opened).rejects.toThrow('Redis does not respond.')
    jest.advanceTimersByTime(4_999)
    expect(subscriber.ends).toBe(0)
    jest.advanceTimersByTime(1)
    await failed
    expect(subscriber.ends).toBe(1)
  })

  it('reports a loss once, ends its connection, and stays silent after it', async () => {
    jest.useFakeTimers()
    const { subscriber, listener, opened } = open()
    subscriber.succeed()
    const subscription = await opened
    expect(jest.getTimerCount()).toBe(0)
    subscriber.listener?.onMessage(Buffer.from('text'))
    for (const error of [new Error('reset'), undefined]) subscriber.listener?.onLost(error)
    subscriber.listener?.onMessage(Buffer.from('late'))
    subscription.close()
    expect([subscriber.ends, listener.onLost.mock.calls]).toEqual([1, [[]]])
    expect(listener.onMessage.mock.calls).toEqual([['text']])
  })

  it('drops a message over 256 KiB', async () => {
    const { subscriber, listener, opened } = open()
    subscriber.succeed()
    await opened
    for (const bytes of [256 * 1024, 256 * 1024 + 1]) subscriber.listener?.onMessage(Buffer.alloc(bytes, 'x'))
    expect(listener.onMessage.mock.calls).toEqual([['x'.repeat(256 * 1024)]])
  })

  it('is closed once, which is not a loss', async () => {
    const { subscriber, listener, opened } = open()
    subscriber.succeed()
    const subscription = await opened
    subscription.close()
    subscription.close()
    expect([subscriber.ends, listener.onLost.mock.calls]).toEqual([1, []])
  })
})
