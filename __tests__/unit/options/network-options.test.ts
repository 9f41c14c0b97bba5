import http from 'node:http'
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
    expect(error).toHaveProperty('message', expect.stringContaining('pass the option agent'))
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
