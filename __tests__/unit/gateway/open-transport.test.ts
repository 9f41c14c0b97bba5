import { expect, it } from '@jest/globals'
import { systemClock } from '../../../lib/core/clock.js'
import { Events } from '../../../lib/core/events.js'
import { FetchTransport } from '../../../lib/gateway/fetch-transport.js'
import { GotTransport } from '../../../lib/gateway/got-transport.js'
import { openTransport as openAtTheEdge } from '../../../lib/gateway/open-transport.edge.js'
import { openTransport } from '../../../lib/gateway/open-transport.js'

const options = {
  ...{ endpoint: () => new URL('https://gateway.example'), fetch: undefined, agents: {}, proxyEnv: () => undefined },
  ...{ timeoutMs: 5_000, maxConnections: 50, clock: systemClock, events: new Events() },
}

it('mints are sent with got by Node, and with fetch at the edge', () => {
  expect(openTransport(options)).toBeInstanceOf(GotTransport)
  expect(openAtTheEdge(options)).toBeInstanceOf(FetchTransport)
})
