import https from 'node:https'
import { readMember } from './checks.js'

export type Environment = Readonly<Record<string, string | undefined>>

/** The environment variables of the process. No other file of lib/ reads them. */
export function environment(): Environment {
  return process.env
}

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
