import http from 'node:http'
import { ownProperties } from '../core/own-properties.js'
import type { Agents } from '../gateway/connection.js'
import { config, hasMethods, knownKeys, readMember, readOptions } from './checks.js'
import type { Environment } from './environment.js'
import { proxyEnvironment } from './proxy-environment.js'
import type { VKitClientOptions } from './types.js'

/** How the client reaches the network. */
export interface NetworkOptions {
  readonly agents: Agents
  readonly proxyEnv: () => Environment | undefined
}

export function resolveNetwork({ agent, fetch }: Pick<VKitClientOptions, 'agent' | 'fetch'>): NetworkOptions {
  if (fetch !== undefined) {
    throw config('fetch is an option of edge runtimes only. In Node, pass the option agent for a proxy or your own CA')
  }
  return { agents: resolveAgents(agent), proxyEnv: proxyEnvironment }
}

const AGENT_KEYS = knownKeys('agent.', ['http', 'https'] satisfies (keyof Agents)[])

function resolveAgents(given: unknown): Agents {
  if (given === undefined) return ownProperties<Agents>({})
  if (hasMethods(given, ['addRequest'])) throw config('agent must be an object { http, https } of agents, not an agent')
  const agents = readOptions<Agents>(given, AGENT_KEYS, config)
  for (const [name, agent] of Object.entries(agents)) {
    if (agent === undefined) continue
    if (!hasMethods(agent, ['addRequest'])) throw config(`agent.${name} must be a Node agent`)
    if (name === 'https' && Object.getPrototypeOf(agent) === http.Agent.prototype) {
      throw config('agent.https must be an https.Agent, not an http.Agent')
    }
    if (readMember(readMember(agent, 'options'), 'rejectUnauthorized') === false) {
      throw config(
        `agent.${name} has rejectUnauthorized: false, which disables certificate checks. ` +
          'To trust your own certificate authority, pass it as ca, or set NODE_EXTRA_CA_CERTS',
      )
    }
  }
  return agents
}
