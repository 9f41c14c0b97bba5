import http from 'node:http'
import https from 'node:https'
import { describe, expect, it } from '@jest/globals'
import { VKitConfigError } from '../../../lib/core/errors.js'
import { resolveNetwork as resolveAtEdge } from '../../../lib/options/network-options.edge.js'
import { resolveNetwork } from '../../../lib/options/network-options.js'

const ownFetch = (): Promise<Response> => fetch('https://gateway.example')

function errorOf(resolve: () => unknown): unknown {
  try {
    return resolve()
  } catch (error) {
    return error
  }
}

describe('the network options', () => {
  it('in Node, are agents', () => {
    const agent = { http: new http.Agent() }
    expect(resolveNetwork({ agent, fetch: undefined }).agents).toEqual(agent)
  })

  it('in Node, do not include fetch', () => {
    const error = errorOf(() => resolveNetwork({ agent: undefined, fetch: ownFetch }))
    expect(error).toBeInstanceOf(VKitConfigError)
    expect(error).toHaveProperty(
      'message',
      'fetch is an option of edge runtimes only. In Node, pass the option agent for a proxy or your own CA.',
    )
  })

  it('in Node, may be one agent, or an agent of another package with options or without', () => {
    for (const own of [{}, { options: null }, { options: { rejectUnauthorized: true } }]) {
      const agent = { http: undefined, https: { addRequest: () => undefined, ...own } }
      expect(resolveNetwork({ agent, fetch: undefined }).agents).toEqual(agent)
    }
    expect(resolveNetwork({ agent: undefined, fetch: undefined }).agents).toEqual({})
  })

  const insecure = { rejectUnauthorized: false }
  it.each<[string, object, string]>([
    ['one agent', new http.Agent(), 'agent must be an object { http, https } of agents, not an agent.'],
    [
      'an option of another name',
      { htps: 1 },
      'Unknown option "agent.htps": did you mean "agent.https"? Known options: http, https.',
    ],
    ['an object that is not an agent', { http: {} }, 'agent.http must be a Node agent.'],
    ['null', { https: null }, 'agent.https must be a Node agent.'],
    ['an http agent for https', { https: new http.Agent() }, 'agent.https must be an https.Agent, not an http.Agent.'],
    ...[new https.Agent(insecure), { addRequest: () => undefined, options: insecure }].map(
      (agent): [string, object, string] => [
        'an agent that does not check certificates',
        { https: agent },
        'agent.https has rejectUnauthorized: false, which disables certificate checks. To trust your own certificate authority, pass it as ca, or set NODE_EXTRA_CA_CERTS.',
      ],
    ),
  ])('in Node, do not include %s', (_, agent, message) => {
    expect(errorOf(() => resolveNetwork({ agent, fetch: undefined }))).toMatchObject({ code: 'VKIT_CONFIG', message })
  })

  it('at the edge, are fetch', () => {
    expect(resolveAtEdge({ agent: undefined, fetch: ownFetch })).toEqual({ fetch: ownFetch })
    expect(resolveAtEdge({ agent: undefined, fetch: undefined })).toEqual({ fetch: undefined })
  })

  it('at the edge, do not include agents, because there are no sockets', () => {
    const error = errorOf(() => resolveAtEdge({ agent: { http: new http.Agent() }, fetch: undefined }))
    expect(error).toBeInstanceOf(VKitConfigError)
    expect(error).toHaveProperty('message', expect.stringContaining('have no sockets'))
  })

  it('at the edge, need a fetch that is a function', () => {
    const notAFunction = 'fetch' as unknown as typeof ownFetch
    expect(errorOf(() => resolveAtEdge({ agent: undefined, fetch: notAFunction }))).toHaveProperty(
      'message',
      'fetch must be a function.',
    )
  })
})
