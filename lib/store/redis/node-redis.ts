import { canDo, type RedisCommands, type Subscriber, type SubscriberListener } from './connection.js'

/** The commands that the store sends through a client of node-redis. */
export interface NodeRedisCommands {
  /** Reads a record. */
  getRange(key: string, start: number, end: number): Promise<unknown>
  /** Writes a record. */
  set(key: string, value: string, options: { expiration: { type: 'PX'; value: number } }): Promise<unknown>
  /** Removes a record. */
  del(key: string): Promise<unknown>
  /** Takes, extends or frees a lease, if the server does not have the script yet. */
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  /** Takes, extends or frees a lease. */
  evalSha(sha1: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  /** Sends a message. */
  publish(channel: string, message: string): Promise<unknown>
}

/** A client of node-redis, which `createClient` of the package `redis` returns. */
export interface NodeRedisClient extends NodeRedisCommands {
  /** Creates the client that receives messages. */
  duplicate(): unknown
  /** Called on the duplicate only, so that it does not keep the process alive. */
  unref(): unknown
}

/** A cluster client of node-redis, which `createCluster` of the package `redis` returns. */
export interface NodeRedisCluster extends NodeRedisCommands {
  /** Chooses the node that messages are received from. */
  getRandomNode(): unknown
  /** Returns the client of a node, to be duplicated. */
  nodeClient(node: never): unknown
}

/** What a duplicate is used for. */
interface Connection {
  readonly options?: { readonly socket?: object }
  duplicate(overrides: object): Connection
  on(event: string, listener: (error?: unknown) => void): unknown
  unref(): void
  connect(): Promise<unknown>
  subscribe(channel: string, listener: (message: Buffer) => void, bufferMode: true): Promise<unknown>
  ping(): Promise<unknown>
  destroy(): void
}

interface Cluster {
  getRandomNode(): unknown
  nodeClient(node: unknown): Connection | Promise<Connection>
}

const COMMANDS = ['getRange', 'set', 'del', 'eval', 'evalSha', 'publish']

export function isNodeRedis(client: object): client is NodeRedisClient | NodeRedisCluster {
  return canDo(client, COMMANDS) && (isCluster(client) || canDo(client, ['duplicate', 'unref']))
}

function isCluster(client: object): boolean {
  return canDo(client, ['getRandomNode', 'nodeClient'])
}

export function nodeRedisCommands(client: NodeRedisClient | NodeRedisCluster): RedisCommands {
  return {
    getRange: (key, lastByte) => client.getRange(key, 0, lastByte),
    set: (key, value, ttlMs) => client.set(key, value, { expiration: { type: 'PX', value: ttlMs } }),
    delete: key => client.del(key),
    evalSha: (sha1, key, args) => client.evalSha(sha1, { keys: [key], arguments: [...args] }),
    eval: (script, key, args) => client.eval(script, { keys: [key], arguments: [...args] }),
    publish: (channel, message) => client.publish(channel, message),
    createSubscriber: async () =>
      new NodeRedisSubscriber(await (isCluster(client) ? anyNodeOf(client) : (client as unknown as Connection))),
  }
}

/** A cluster sends each message to all of its nodes. */
function anyNodeOf(client: NodeRedisClient | NodeRedisCluster): Connection | Promise<Connection> {
  const cluster = client as unknown as Cluster
  return cluster.nodeClient(cluster.getRandomNode())
}

class NodeRedisSubscriber implements Subscriber {
  readonly #connection: Connection
  #hasSocket = false
  #isEnded = false

  constructor(original: Connection) {
    this.#connection = original.duplicate({
      socket: { ...original.options?.socket, reconnectStrategy: false, socketTimeout: undefined },
      // Its timer would keep the process alive.
      pingInterval: 0,
      // It would move the subscription to another server, and messages could be missing.
      maintNotifications: 'disabled',
      clientSideCache: undefined,
    })
  }

  async start(channel: string, { onMessage, onLost }: SubscriberListener): Promise<void> {
    const connection = this.#connection
    connection.on('error', onLost)
    connection.on('end', onLost)
    connection.on('connect', () => {
      this.#hasSocket = true
      if (this.#isEnded) this.end()
    })
    connection.unref()
    await connection.connect()
    await connection.subscribe(channel, onMessage, true)
  }

  ping(): Promise<unknown> {
    return this.#connection.ping()
  }

  end(): void {
    this.#isEnded = true
    // Version 5 would forget a socket that is still connecting, and leave it open.
    if (!this.#hasSocket) return
    try {
      this.#connection.destroy()
    } catch {
      // Version 5 throws if the connection has ended.
    }
  }
}
