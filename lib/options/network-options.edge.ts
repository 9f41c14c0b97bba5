import type { Fetch } from '../gateway/transport.js'
import { config, functionOption } from './checks.js'
import type { VKitClientOptions } from './types.js'

/** How the client reaches the network. */
export interface NetworkOptions {
  readonly fetch: Fetch | undefined
}

export function resolveNetwork({ agent, fetch }: Pick<VKitClientOptions, 'agent' | 'fetch'>): NetworkOptions {
  if (agent !== undefined) {
    throw config(
      'agent is not an option here: edge runtimes have no sockets, so the client uses fetch. Pass fetch to send its requests another way, such as through a service binding',
    )
  }
  return { fetch: fetch === undefined ? undefined : functionOption(fetch, 'fetch') }
}
