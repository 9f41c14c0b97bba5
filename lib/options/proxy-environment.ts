import https from 'node:https'
import { readMember } from './checks.js'
import type { Environment } from './environment.js'

/**
 * The variables with the proxy for https; undefined without one, or unless Node itself uses them: `NODE_USE_ENV_PROXY=1`,
 * or the option `--use-env-proxy`. Node before 22.21 and 24.5 has neither for https.
 */
export function proxyEnvironment(): Environment | undefined {
  // Node's own agent shows the decision, which the command line, NODE_OPTIONS or a configuration file can make too.
  const found = readMember(readMember(https.globalAgent, 'options'), 'proxyEnv')
  const hasProxy = readMember(found, 'https_proxy') || readMember(found, 'HTTPS_PROXY')
  return hasProxy ? (found as Environment) : undefined
}
