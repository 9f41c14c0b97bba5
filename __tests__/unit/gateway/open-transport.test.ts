import { expect, it, jest } from '@jest/globals'
import type http from 'node:http'
import { connect } from 'node:net'
import { systemClock } from '../../../lib/core/clock.js'
import { Deadline } from '../../../lib/core/deadline.js'
import { Events } from '../../../lib/core/events.js'
import { openTransport as openAtTheEdge } from '../../../lib/gateway/open-transport.edge.js'
import { openTransport } from '../../../lib/gateway/open-transport.js'
import { failureOf } from '../../support/failure.js'
import { freePort } from '../../support/free-port.js'

it('mints are sent through the agent of the caller by Node, and with its fetch at the edge', async () => {
  const port = await freePort()
  const fetch = jest.fn(() => Promise.reject(new Error('no network')))
  const addRequest = jest.fn((request: http.ClientRequest) => request.onSocket(connect(port)))
  const options = {
    endpoint: () => new URL('http://localhost'),
    agents: { http: { addRequest } as unknown as http.Agent },
    ...{
      fetch,
      proxyEnv: () => undefined,
      timeoutMs: 5_000,
      maxConnections: 50,
      clock: systemClock,
      events: new Events(),
    },
  }
  const deadline = new Deadline(systemClock, 60_000, () => new Error('the deadline'))
  const calls: number[][] = []
  for (const open of [openTransport, openAtTheEdge]) {
    const request = { secret: 'sk', identity: 'user', body: '{}', deadline, timeoutMs: 5_000 }
    expect((await failureOf(open(options).exchange(request))).code).toBe('VKIT_CONNECTION')
    calls.push([addRequest.mock.calls.length, fetch.mock.calls.length])
  }
  deadline.clear()
  expect(calls).toEqual([
    [1, 0],
    [1, 1],
  ])
})
