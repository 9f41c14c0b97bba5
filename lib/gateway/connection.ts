import http from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import type { Got, Options } from 'got'
import { VKitConfigError } from '../core/errors.js'
import { sanitizeCause } from '../core/sanitize-cause.js'
import { hostOf, portOf } from '../core/url-parts.js'
import { ProxyAgent, type ProxyEnv } from './proxy-agent.js'
import { SecureSockets } from './secure-socket.js'
import { userAgent } from './user-agent.js'

const USER_AGENT = userAgent(`node/${Number.parseInt(process.versions.node, 10)}`)

const AGENT_OPTIONS: http.AgentOptions = { keepAlive: true, scheduling: 'lifo' }

/** The caller's own Node agents, for proxies and custom CAs. */
export interface Agents {
  readonly http?: http.Agent | undefined
  readonly https?: https.Agent | undefined
}

export function callersAgentFor({ protocol }: URL, agents: Agents): http.Agent | undefined {
  return protocol === 'https:' ? agents.https : agents.http
}

/** Whether requests wait for a free connection of this agent. An agent that is not Node's has no known queue. */
export function hasQueue(agent: http.Agent): boolean {
  return agent instanceof http.Agent && Object.keys(agent.requests).length > 0
}

/**
 * Returns the largest number of connections of an agent.
 *
 * Properties of an agent that is not Node's may have no effect.
 */
export function maxSocketsOf(agent: http.Agent | undefined): number {
  if (!(agent instanceof http.Agent)) return Infinity
  return Math.min(...[agent.maxSockets, agent.maxTotalSockets].filter(sockets => sockets >= 1), Infinity)
}

/** What all mints share: the endpoint, the agent and the HTTP client. */
export interface Connection {
  readonly url: URL
  readonly agent: http.Agent
  /** The agent that the caller provided for https. */
  readonly callersAgent: https.Agent | undefined
  readonly sockets: SecureSockets
  readonly got: Got
  readonly template: Options
}

/** Creates a connection. It calls `makeOwnAgent` if the caller provided no agent for the scheme. */
export function makeConnection(
  url: URL,
  agents: Agents,
  makeOwnAgent: () => http.Agent,
): Omit<Connection, 'got' | 'template'> {
  const agent = callersAgentFor(url, agents) ?? makeOwnAgent()
  return { url, agent, callersAgent: agents.https, sockets: new SecureSockets() }
}

export interface AgentSettings {
  /** Where an https agent finds its proxy; undefined if it must not use one. */
  readonly proxyEnv: ProxyEnv | undefined
  /** The timeout of one exchange. */
  readonly timeoutMs: number
}

/** @throws VKitConfigError if the URL of the proxy is invalid */
export function makeAgent({ protocol }: URL, settings: AgentSettings): http.Agent {
  // Without TLS, a proxy would read the secret, so no setting of Node may send it there.
  const agent = protocol === 'https:' ? makeSecureAgent(settings) : new http.Agent({ ...AGENT_OPTIONS, ...NO_PROXY })
  agent.on('free', (socket: Socket) => {
    // One listener for all requests of a socket, because adding and removing it each time costs more.
    if (!isIdle.has(socket)) socket.on('data', destroyIfIdle)
    isIdle.set(socket, true)
  })
  return agent
}

const NO_PROXY = { proxyEnv: null }
/** Our own timer ends an exchange first. */
const LATER_MS = 1_000

function makeSecureAgent({ proxyEnv, timeoutMs }: AgentSettings): https.Agent {
  const options = { ...AGENT_OPTIONS, minVersion: 'TLSv1.2' } as const
  if (!proxyEnv) return new https.Agent({ ...options, ...NO_PROXY })
  try {
    return new ProxyAgent({ ...options, proxyEnv, connectTimeoutMs: timeoutMs + LATER_MS })
  } catch (error) {
    // Node's message contains the URL, which may contain a password.
    throw new VKitConfigError('HTTPS_PROXY is not a valid URL of a proxy.', { cause: sanitizeCause(error) })
  }
}

/** Whether no request uses a socket of our own agents, from its first time without one. */
const isIdle = new WeakMap<Socket, boolean>()

/** Destroys a socket that receives an unrequested response: Node would take it for the response to the next request. */
function destroyIfIdle(this: Socket): void {
  if (isIdle.get(this)) this.destroy()
}

/**
 * Options that separate our TLS connections from others of the same agent.
 *
 * Other requests may use the agent with weaker checks, and a resumed session has no certificate to check. A client does
 * not need a `sessionIdContext`, but agents share connections only between requests with the same one.
 */
const OWN_CONNECTIONS = { session: undefined, sessionIdContext: 'videokit-nodejs' }

function makeHeaders(body: string): Record<string, string> {
  return {
    'content-type': 'application/json',
    accept: 'application/json',
    'accept-encoding': 'identity',
    'content-length': String(Buffer.byteLength(body)),
    'user-agent': USER_AGENT,
  }
}

/** Opens Node's request for this body with the options that got creates for it. */
export function openRequest(
  { url, callersAgent }: Connection,
  options: http.RequestOptions,
  body: string,
): http.ClientRequest {
  // Passed as text, because Node does not recognize a URL object if Object.prototype has `path` or `auth`.
  const { href, protocol } = url
  // The headers are set below got, because got would check and copy them twice for each request.
  const headers = makeHeaders(body)
  if (protocol === 'https:') {
    return https.request(href, { ...options, headers, ...(callersAgent && OWN_CONNECTIONS) })
  }
  // Node copies the options three times, so the options of TLS are left out.
  const { agent, maxHeaderSize, method } = options
  return http.request(href, { agent, headers, maxHeaderSize, method })
}

/** Takes the socket that the agent assigned to a request. */
export function takeSocket(socket: Socket): void {
  if (isIdle.has(socket)) isIdle.set(socket, false)
  socket.unref() // See process-hold.ts.
}

/** A kept-alive socket was closed before the first byte of a response arrived. */
export class StaleSocketError extends Error {
  readonly code: string | undefined

  constructor(cause: unknown) {
    super()
    this.code = sanitizeCause(cause)?.code
  }
}

export function dropIdleSockets({ url, agent }: Connection): void {
  const prefix = `${hostOf(url)}:${portOf(url)}:`
  for (const [name, sockets] of Object.entries(agent.freeSockets)) {
    if (name.startsWith(prefix)) for (const socket of sockets ?? []) socket.destroy()
  }
}
