import type http from 'node:http'
import type { Options } from 'got'
import type { Clock } from '../core/clock.js'
import { VKitConnectionError } from '../core/errors.js'
import type { Events } from '../core/events.js'
import { ownProperties } from '../core/own-properties.js'
import { permissionFlag } from '../core/permission-flag.js'
import { sanitizeCause } from '../core/sanitize-cause.js'
import { VKitError } from '../core/vkit-error.js'
import {
  callersAgentFor,
  dropIdleSockets,
  makeAgent,
  makeConnection,
  maxSocketsOf,
  StaleSocketError,
  type Agents,
  type Connection,
} from './connection.js'
import { Exchange } from './exchange.js'
import { IdleConnection } from './idle-connection.js'
import { loadGot } from './load-got.js'
import type { ProxyEnv } from './proxy-agent.js'
import { networkError, placeOf } from './response-errors.js'
import { parseResponse, type GatewayResponse, type RawResponse } from './response.js'
import type { ClientTransport, ExchangeRequest, PreconnectRequest } from './transport.js'

const MAX_HEADER_BYTES = 16 * 1024

export interface GotTransportOptions {
  /** The URL that mints sessions; a function, because the environment is read at the first call. */
  readonly endpoint: () => URL
  /** The timeout of `preconnect`. */
  readonly timeoutMs: number
  readonly maxConnections: number
  readonly agents: Agents
  /** Where our own https agent finds its proxy, if it uses one; read at the first call. */
  readonly proxyEnv: () => ProxyEnv | undefined
  readonly clock: Clock
  readonly events: Events
  /** Default: `loadGot`. */
  readonly loadGot?: typeof loadGot
}

/** The transport for Node: got, one agent and its connections. */
export class GotTransport implements ClientTransport {
  readonly #options: GotTransportOptions
  readonly #loadGot: typeof loadGot
  #ownAgent: http.Agent | undefined
  #connection: Connection | undefined
  #connecting: Promise<Connection> | undefined

  constructor(options: GotTransportOptions) {
    this.#options = options
    // Only own properties are read, because Object.prototype may have the name of a missing option.
    this.#loadGot = ownProperties(options).loadGot ?? loadGot
  }

  /** At most the sockets of a caller's agent, because a got request in its queue would use tens of KiB. */
  get maxConnections(): number {
    const { endpoint, agents, maxConnections } = this.#options
    return Math.min(maxConnections, maxSocketsOf(callersAgentFor(endpoint(), agents)))
  }

  async exchange(request: ExchangeRequest): Promise<GatewayResponse> {
    const { secret, identity } = request
    const connection = this.#connection ?? (await this.#connect(request.onNotSent))
    try {
      const raw = await this.#send(connection, request)
      const place = (): string => placeOf(connection.url, secret)
      return parseResponse(raw, { secret, identity, place, nowMs: this.#options.clock.now() })
    } catch (error) {
      throw toOwnError(error, connection, request)
    }
  }

  /** Loads got. @throws VKitConnectionError if it cannot be loaded; VKitConfigError if the URL is invalid. */
  async load(): Promise<void> {
    await this.#connect()
  }

  /**
   * Opens a connection and leaves it for the next exchange, if the agent keeps connections alive.
   *
   * @throws VKitError on any failure; `deadline.reason` if the deadline ends first.
   */
  async preconnect(request: PreconnectRequest): Promise<void> {
    const connection = this.#connection ?? (await this.#connect())
    try {
      await new IdleConnection(connection, request, this.#options).open()
    } catch (error) {
      throw toOwnError(error, connection, request)
    }
  }

  /** Closes the connections, except those of the caller's agent. */
  close(): void {
    this.#ownAgent?.destroy()
  }

  async #connect(onNotSent?: () => void): Promise<Connection> {
    const url = this.#options.endpoint()
    try {
      return (this.#connection = await (this.#connecting ??= this.#makeConnection(url)))
    } catch (error) {
      onNotSent?.()
      throw error
    }
  }

  async #makeConnection(url: URL): Promise<Connection> {
    try {
      const { got, Options } = await this.#loadGot().catch(throwLoadError)
      const { timeoutMs, proxyEnv } = this.#options
      const makeOwnAgent = (): http.Agent => (this.#ownAgent ??= makeAgent(url, { timeoutMs, proxyEnv: proxyEnv() }))
      const shared = makeConnection(url, this.#options.agents, makeOwnAgent)
      return { ...shared, got, template: makeTemplate(Options, shared) }
    } catch (error) {
      // Otherwise, every later call would fail with this error.
      this.#connecting = undefined
      throw error
    }
  }

  /** Sends the request, and once more if its kept-alive connection was closed. */
  #send(connection: Connection, request: ExchangeRequest): Promise<RawResponse> {
    const { clock } = this.#options
    return new Exchange(connection, request, clock).run().catch((error: unknown) => {
      if (!(error instanceof StaleSocketError)) throw error
      // The other idle sockets are at least as old as the one that the server closed.
      dropIdleSockets(connection)
      this.#options.events.emit({ type: 'resend' })
      return new Exchange(connection, request, clock).run()
    })
  }
}

function makeTemplate(Options: new () => Options, { url, agent }: Pick<Connection, 'url' | 'agent'>): Options {
  // Setters are used, because got reads an options object with `for in` and fails on a polluted Object.prototype.
  const template = new Options()
  template.url = url
  template.isStream = true
  template.method = 'POST'
  template.headers = {}
  template.agent = ownProperties({ ...template.agent, [url.protocol === 'https:' ? 'https' : 'http']: agent })
  template.maxHeaderSize = MAX_HEADER_BYTES
  // Explicit, because NODE_TLS_REJECT_UNAUTHORIZED=0 changes the default.
  template.https = ownProperties({ ...template.https, rejectUnauthorized: true })
  template.followRedirect = false
  template.throwHttpErrors = false
  template.decompress = false
  template.retry = { ...template.retry, limit: 0, methods: [], statusCodes: [], errorCodes: [] }
  // Emptied, because got would slowly copy its four unused default properties for each mint.
  template.cacheOptions = {}
  return template
}

/** Replaces errors of third-party code, which may contain any data that this code had. */
function toOwnError(error: unknown, { url }: Connection, { deadline, secret }: PreconnectRequest): unknown {
  if (error instanceof VKitError) return error
  return deadline.aborted ? deadline.reason : networkError(error, placeOf(url, secret))
}

/**
 * Throws a retryable error: the cause is local, such as too many open files, and may be gone at the next call. A missing
 * permission of the process stays missing.
 */
function throwLoadError(error: unknown): never {
  const cause = sanitizeCause(error)
  const flag = permissionFlag(error, '--allow-fs-read')
  if (flag !== undefined) {
    const message = `Node's permission model does not let the HTTP client (got) load: start Node with ${flag} for the folder of this package.`
    throw new VKitConnectionError(message, { cause, retryable: false })
  }
  const code = cause?.code ?? cause?.name ?? 'no code'
  throw new VKitConnectionError(`The HTTP client (got) could not be loaded (${code}).`, { cause })
}
