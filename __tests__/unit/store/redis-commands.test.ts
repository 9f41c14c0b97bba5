import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { createHash } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { VKitConfigError } from '../../../lib/index.js'
import { createRedisStore, type RedisClient } from '../../../lib/store/redis/index.js'

afterEach(() => void jest.restoreAllMocks())

type Reply = (command: string) => unknown

const NODE_REDIS = ['getRange', 'set', 'del', 'eval', 'evalSha', 'publish']
const noScript = (): never => {
  throw new Error('NOSCRIPT No matching script.')
}
const replies: Reply = command =>
  ({ getrange: 'text', set: 'OK', del: 1, evalsha: noScript, eval: 1, publish: 1 })[command]

/** A connection that records what is done with it. Its server replies to commands as a test says. */
class FakeConnection extends EventEmitter {
  readonly sent: unknown[][] = []
  readonly duplicates: FakeConnection[] = []
  overrides: object | undefined
  options: { readonly socket?: object } | undefined = { socket: { host: 'redis', reconnectStrategy: 20 } }
  stream: { unref?: () => unknown } | null | undefined = { unref: () => this.done('unref stream') }
  readonly steps: string[] = []
  connected: () => void = () => undefined
  onMessage: (message: Buffer) => void = () => undefined
  destroyFails = false
  #reply: Reply

  constructor(reply: Reply = replies) {
    super()
    this.#reply = reply
  }

  done(step: string): void {
    this.steps.push(step)
  }

  send(name: string, ...args: unknown[]): Promise<unknown> {
    this.sent.push([name, ...args])
    const reply = this.#reply(name.toLowerCase())
    return new Promise(resolve => resolve(typeof reply === 'function' ? (reply as () => unknown)() : reply))
  }

  duplicate(overrides: object): FakeConnection {
    const duplicate = this.make()
    duplicate.overrides = overrides
    this.duplicates.push(duplicate)
    return duplicate
  }

  make(): FakeConnection {
    return new FakeConnection()
  }

  connect(): Promise<void> {
    this.done('connect')
    return new Promise(resolve => {
      this.connected = () => {
        this.emit('connect')
        resolve()
      }
    })
  }

  async subscribe(...args: unknown[]): Promise<void> {
    const [channel, listener, ...others] = args
    this.done(`subscribe ${[channel, ...others].join(' ')}`)
    if (typeof listener === 'function') this.onMessage = listener as (message: Buffer) => void
  }

  ping(): Promise<string> {
    return Promise.resolve('PONG')
  }

  end(): void {
    this.done('end')
  }
}

class FakeIoredis extends FakeConnection {
  override make = (): FakeIoredis => new FakeIoredis()
  call = (name: string, ...args: string[]): Promise<unknown> => this.send(name, ...args)
  disconnect = (): void => this.end()
  override onMessage = (message: Buffer): void => void this.emit('messageBuffer', Buffer.from('channel'), message)
}

class FakeNodeRedis extends FakeConnection {
  override make = (): FakeNodeRedis => new FakeNodeRedis()
  unref = (): void => this.done('unref')
  destroy = (): void => {
    this.end()
    if (this.destroyFails) throw new Error('The client is closed')
  }
  constructor(reply?: Reply) {
    super(reply)
    for (const name of NODE_REDIS) Object.assign(this, { [name]: (...args: unknown[]) => this.send(name, ...args) })
  }
}

const LISTENER = { onMessage: () => undefined, onLost: () => undefined }

/** Subscribes, with connections that one of `nodes` duplicates. */
async function subscribeTo(client: object, nodes: readonly FakeConnection[]): Promise<void> {
  const opening = createRedisStore(client as RedisClient).subscribe('channel', LISTENER)
  await turn()
  for (const { duplicates } of nodes) for (const connection of duplicates) connection.connected()
  await opening
}

const storeOf = (client: FakeConnection) => createRedisStore(client as unknown as RedisClient)

describe.each([
  ['node-redis', FakeNodeRedis],
  ['ioredis', FakeIoredis],
])('a store with a client of %s', (name, Client) => {
  it('sends one command for each operation, and a script only to a server that does not have it', async () => {
    const client = new Client()
    const store = storeOf(client)
    const results = [
      await store.get('key'),
      await store.set('key', 'text', 1_500),
      await store.delete('key'),
      await store.acquireLease('key', 'holder', 1_000),
      await store.releaseLease('key', 'holder'),
      await store.publish('channel', 'message'),
    ]
    expect(results).toEqual(['text', undefined, 1, true, 1, 1])
    const scripts = client.sent.flatMap(([command, text]) => (command === 'eval' ? [String(text)] : []))
    const [acquire = '', release = ''] = scripts.map(text => createHash('sha1').update(text).digest('hex'))
    const [acquireText = '', releaseText = ''] = scripts
    const commands = {
      'node-redis': [
        ['getRange', 'key', 0, 262_144],
        ['set', 'key', 'text', { expiration: { type: 'PX', value: 1_500 } }],
        ['del', 'key'],
        ['evalSha', acquire, { keys: ['{key}:lease'], arguments: ['holder', '1000'] }],
        ['eval', acquireText, { keys: ['{key}:lease'], arguments: ['holder', '1000'] }],
        ['evalSha', release, { keys: ['{key}:lease'], arguments: ['holder'] }],
        ['eval', releaseText, { keys: ['{key}:lease'], arguments: ['holder'] }],
        ['publish', 'channel', 'message'],
      ],
      ioredis: [
        ['getrange', 'key', '0', '262144'],
        ['set', 'key', 'text', 'PX', '1500'],
        ['del', 'key'],
        ['evalsha', acquire, '1', '{key}:lease', 'holder', '1000'],
        ['eval', acquireText, '1', '{key}:lease', 'holder', '1000'],
        ['evalsha', release, '1', '{key}:lease', 'holder'],
        ['eval', releaseText, '1', '{key}:lease', 'holder'],
        ['publish', 'channel', 'message'],
      ],
    }
    expect(client.sent).toEqual(commands[name as keyof typeof commands])
    // The commands of the scripts, for which the user of Redis needs permissions too.
    const inside = scripts.map(text => [...text.matchAll(/redis\.call\('(\w+)'/g)].map(([, command]) => command))
    expect(inside).toEqual([
      ['GETRANGE', 'SET'],
      ['GETRANGE', 'DEL'],
    ])
  })

  it.each<[string, Reply, unknown]>([
    ['the server has nothing', () => '', undefined],
    ['the client returns null for that', () => null, undefined],
    ['the client returns undefined for that', () => undefined, undefined],
    ['the client returns texts as buffers', () => Buffer.from('tëxt'), 'tëxt'],
    ['the key has a list', () => () => Promise.reject(new Error('WRONGTYPE Operation against a key')), undefined],
  ])('returns what the key has if %s', async (_, reply, text) => {
    expect(await storeOf(new Client(reply)).get('key')).toBe(text)
  })

  it.each([[new Error('READONLY')], ['WRONGTYPE'], [undefined]])('rejects as the client does (%#)', async error => {
    const store = storeOf(new Client(() => jest.fn<() => Promise<never>>().mockRejectedValue(error)))
    for (const operation of [
      store.get('key'),
      store.set('key', 'text', 1),
      store.delete('key'),
      store.acquireLease('key', 'holder', 1),
      store.releaseLease('key', 'holder'),
      store.publish('channel', 'message'),
    ]) {
      await expect(operation).rejects.toBe(error)
    }
  })

  const methods = {
    'node-redis': [...NODE_REDIS, 'duplicate', 'unref'],
    ioredis: ['call', 'duplicate', 'disconnect'],
  }
  it.each(methods[name as keyof typeof methods])('refuses a client without %s', method => {
    const client = Object.assign(new Client(), { [method]: undefined })
    expect(() => storeOf(client)).toThrow(VKitConfigError)
  })
})

describe.each([
  ['node-redis', () => new FakeNodeRedis()],
  ['ioredis', () => new FakeIoredis()],
])('a subscription with a client of %s', (name, make) => {
  const [begin, subscribe] =
    name === 'ioredis'
      ? [['connect', 'unref stream'], 'subscribe channel']
      : [['unref', 'connect'], 'subscribe channel true']

  async function setUp() {
    const client = make()
    const listener = { onMessage: jest.fn<(message: string) => void>(), onLost: jest.fn() }
    const opening = storeOf(client).subscribe('channel', listener)
    opening.catch(() => undefined)
    // The socket exists in the second turn, before it is connected.
    for (let turns = 0; turns < 2; turns++) await turn()
    const [connection] = client.duplicates
    if (!connection) throw new Error('expected a duplicate')
    return { client, listener, opening, connection }
  }

  async function setUpOpen() {
    const all = await setUp()
    all.connection.connected()
    return { ...all, subscription: await all.opening }
  }

  it('has a connection of its own, which does not keep the process alive', async () => {
    const { client, connection, subscription } = await setUpOpen()
    const again = name === 'ioredis' ? ['unref stream'] : []
    expect(connection.steps).toEqual([...begin, ...again, subscribe])
    expect(await subscription.ping?.()).toBe('PONG')
    subscription.close()
    expect(connection.steps.at(-1)).toBe('end')
    expect([client.steps, client.sent, client.eventNames()]).toEqual([[], [], []])
  })

  it('ends with its connection, which never connects again by itself and has no other timers', async () => {
    const { connection } = await setUpOpen()
    const overrides = {
      'node-redis': {
        socket: { host: 'redis', reconnectStrategy: false, socketTimeout: undefined },
        pingInterval: 0,
        maintNotifications: 'disabled',
        clientSideCache: undefined,
      },
      ioredis: {
        lazyConnect: true,
        retryStrategy: null,
        sentinelRetryStrategy: null,
        reconnectOnError: null,
        autoResubscribe: false,
        enableOfflineQueue: true,
        disconnectTimeout: 0,
        failoverDetector: false,
        commandTimeout: undefined,
        socketTimeout: undefined,
      },
    }
    expect(connection.overrides).toStrictEqual(overrides[name as keyof typeof overrides])
  })

  it('receives the text of each message', async () => {
    const { connection, listener } = await setUpOpen()
    for (const text of ['one', 'twö']) connection.onMessage(Buffer.from(text))
    expect(listener.onMessage.mock.calls).toEqual([['one'], ['twö']])
  })

  it.each(['error', 'end'])('is lost once with the event %s', async event => {
    const { connection, listener } = await setUpOpen()
    connection.emit(event, new Error('ECONNRESET'))
    connection.emit('end')
    expect([listener.onLost.mock.calls, connection.steps.at(-1)]).toEqual([[[]], 'end'])
  })

  it.each<[string, Error | undefined, string]>([
    ['error', new Error('ECONNREFUSED'), 'ECONNREFUSED'],
    ['end', undefined, 'The connection has ended.'],
  ])('rejects if its connection has the event %s before it is open', async (event, error, message) => {
    const { connection, opening, listener } = await setUp()
    connection.emit(event, error)
    await expect(opening).rejects.toThrow(message)
    expect(listener.onLost).not.toHaveBeenCalled()
  })
})

describe('a connection of node-redis', () => {
  it('that ends while its socket is still connecting is closed when it is connected', async () => {
    const client = new FakeNodeRedis()
    const opening = storeOf(client).subscribe('channel', LISTENER)
    const failed = expect(opening).rejects.toThrow('reset')
    await turn()
    const [connection] = client.duplicates
    connection?.emit('error', new Error('reset'))
    await failed
    expect(connection?.steps).toEqual(['unref', 'connect'])
    connection?.emit('connect')
    expect(connection?.steps).toEqual(['unref', 'connect', 'end'])
  })

  it('can end before it is closed, without an error', async () => {
    const client = new FakeNodeRedis()
    const opening = storeOf(client).subscribe('channel', LISTENER)
    await turn()
    const [connection] = client.duplicates
    connection?.connected()
    const subscription = await opening
    Object.assign(connection ?? {}, { destroyFails: true })
    subscription.close()
    expect(connection?.steps.at(-1)).toBe('end')
  })

  it('needs no options of the client', async () => {
    const client = Object.assign(new FakeNodeRedis(), { options: undefined })
    await subscribeTo(client, [client])
    expect(client.duplicates[0]?.overrides).toMatchObject({ socket: { reconnectStrategy: false } })
  })
})

describe('a connection of ioredis', () => {
  it.each([[null], [undefined], [{}]])('needs no socket that can be released (%p)', async stream => {
    const client = new FakeIoredis()
    client.make = () => Object.assign(new FakeIoredis(), { stream })
    const opening = storeOf(client).subscribe('channel', LISTENER)
    await turn()
    client.duplicates[0]?.connected()
    await expect((await opening).ping?.()).resolves.toBe('PONG')
  })
})

describe('a subscription with a client of a cluster', () => {
  const nodes = [new FakeIoredis(), new FakeIoredis(), new FakeIoredis()]
  it('of ioredis duplicates any of its nodes', async () => {
    const roles: string[] = []
    const cluster = Object.assign(new FakeIoredis(), { nodes: (role: string) => (roles.push(role), nodes) })
    for (const random of [0, 0.4, 0.999]) {
      jest.spyOn(Math, 'random').mockReturnValueOnce(random)
      await subscribeTo(cluster, nodes)
    }
    expect(nodes.map(({ duplicates }) => duplicates.length)).toEqual([1, 1, 1])
    expect([roles, cluster.duplicates]).toEqual([['all', 'all', 'all'], []])
  })

  it('of ioredis rejects if that is not connected', async () => {
    const cluster = Object.assign(new FakeIoredis(), { nodes: () => [] })
    await expect(storeOf(cluster).subscribe('channel', LISTENER)).rejects.toThrow(
      'The cluster client is not connected.',
    )
  })

  const clusterOf = (node: FakeNodeRedis) =>
    Object.assign(new FakeNodeRedis(), {
      duplicate: undefined,
      unref: undefined,
      getRandomNode: () => 'a node',
      nodeClient: async (name: string) => (name === 'a node' ? node : undefined),
    })

  it('of node-redis duplicates the client of a random node', async () => {
    const node = new FakeNodeRedis()
    await subscribeTo(clusterOf(node), [node])
    expect(node.duplicates).toHaveLength(1)
  })

  it.each(['getRandomNode', 'nodeClient'])('of node-redis needs %s', method => {
    const cluster = Object.assign(clusterOf(new FakeNodeRedis()), { [method]: undefined })
    expect(() => storeOf(cluster as unknown as FakeConnection)).toThrow(VKitConfigError)
  })
})
