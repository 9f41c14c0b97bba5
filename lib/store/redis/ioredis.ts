import { canDo, type RedisCommands, type Subscriber, type SubscriberListener } from './connection.js'

/** A client of ioredis, an instance of `Redis`. */
export interface IoredisClient {
  /** Sends a command. */
  call(command: string, ...args: string[]): Promise<unknown>
  /** Creates the client that receives messages. */
  duplicate(): unknown
  /** Called on the duplicate only, to close it. */
  disconnect(): unknown
}

/** A cluster client of ioredis, an instance of `Cluster`. */
export interface IoredisCluster extends IoredisClient {
  /** Returns the clients of the nodes, one of which is duplicated. */
  nodes(role: 'all'): unknown[]
}

/** What a duplicate is used for. */
interface Connection {
  readonly stream?: { unref?(): unknown } | null
  duplicate(overrides: object): Connection
  on(event: string, listener: (...args: never[]) => void): unknown
  connect(): Promise<unknown>
  subscribe(channel: string): Promise<unknown>
  ping(): Promise<unknown>
  disconnect(): void
}

export function isIoredis(client: object): client is IoredisClient | IoredisCluster {
  return canDo(client, ['call', 'duplicate', 'disconnect'])
}

export function ioredisCommands(client: IoredisClient | IoredisCluster): RedisCommands {
  return {
    // In lower case, because ioredis before 5.9 finds neither the keys of other names nor their node of a cluster.
    getRange: (key, lastByte) => client.call('getrange', key, '0', String(lastByte)),
    set: (key, value, ttlMs) => client.call('set', key, value, 'PX', String(ttlMs)),
    delete: key => client.call('del', key),
    evalSha: (sha1, key, args) => client.call('evalsha', sha1, '1', key, ...args),
    eval: (script, key, args) => client.call('eval', script, '1', key, ...args),
    publish: (channel, message) => client.call('publish', channel, message),
    createSubscriber: () => new IoredisSubscriber('nodes' in client ? anyNodeOf(client) : connectionOf(client)),
  }
}

/** A cluster sends each message to all of its nodes. */
function anyNodeOf(cluster: IoredisCluster): Connection {
  const nodes = cluster.nodes('all')
  if (nodes.length === 0) throw new Error('The cluster client is not connected.')
  return connectionOf(nodes[Math.floor(Math.random() * nodes.length)])
}

function connectionOf(client: unknown): Connection {
  return client as Connection
}

class IoredisSubscriber implements Subscriber {
  readonly #connection: Connection

  constructor(original: Connection) {
    this.#connection = original.duplicate({
      lazyConnect: true,
      retryStrategy: null,
      sentinelRetryStrategy: null,
      reconnectOnError: null,
      autoResubscribe: false,
      enableOfflineQueue: true,
      // It would wait 2 s for a server that does not respond.
      disconnectTimeout: 0,
      // Its connections would keep the process alive.
      failoverDetector: false,
      commandTimeout: undefined,
      socketTimeout: undefined,
    })
  }

  async start(channel: string, { onMessage, onLost }: SubscriberListener): Promise<void> {
    const connection = this.#connection
    connection.on('error', (error: unknown) => onLost(error))
    connection.on('end', () => onLost())
    connection.on('messageBuffer', (_channel: Buffer, message: Buffer) => onMessage(message))
    const unref = (): unknown => connection.stream?.unref?.()
    connection.on('connect', unref)
    const connected = connection.connect()
    // The socket exists after the next tick, but has no event before it is connected.
    setImmediate(unref)
    await connected
    await connection.subscribe(channel)
  }

  ping(): Promise<unknown> {
    return this.#connection.ping()
  }

  end(): void {
    this.#connection.disconnect()
  }
}
