import { describe, expect, it } from '@jest/globals'
import http from 'node:http'
import { Duplex } from 'node:stream'
import { VKitClient } from '../../lib/index.js'
import { failureOf } from '../support/failure.js'
import { afterThisTest } from '../support/gateway.js'

type Respond = (socket: Duplex, identity: string) => void

/** An agent whose connections are JavaScript streams without `bytesRead`, like those of tunnels. */
class TunnelAgent extends http.Agent {
  readonly received: string[] = []
  respond: Respond = respondFully

  constructor() {
    super({ keepAlive: true, maxSockets: 1 })
  }

  override createConnection(): Duplex {
    const socket: Duplex = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        done()
        const identity = /"identity":"(\w+)"/.exec(String(chunk))?.[1]
        if (identity === undefined) return
        this.received.push(identity)
        this.respond(socket, identity)
      },
    })
    const nothing = (): void => undefined
    return Object.assign(socket, {
      ref: nothing,
      unref: nothing,
      setKeepAlive: nothing,
      setNoDelay: nothing,
      setTimeout: nothing,
    })
  }
}

function respondFully(socket: Duplex, identity: string): void {
  const body = JSON.stringify({ sessionToken: 'T0KEN', expiresAt: '2099-01-01T00:00:00Z', identity })
  socket.push(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
}

const HALF = 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"a'

const ENDINGS: [string, Respond][] = [
  ['that is destroyed immediately', socket => void (socket.push(HALF), socket.destroy())],
  ['that ends immediately', socket => void (socket.push(HALF), socket.push(null))],
  [
    'that fails later',
    socket => {
      socket.push(HALF)
      setImmediate(() => socket.destroy(Object.assign(new Error('broken'), { code: 'ECONNRESET' })))
    },
  ],
]

describe("a connection of the caller's agent", () => {
  it.each(
    ENDINGS.flatMap(([name, ending]) => [true, false].map(used => [name, used ? 'used' : 'new', ending] as const)),
  )(
    '%s in the middle of a response (%s) fails the call, and the request is not sent again',
    async (_, state, ending) => {
      const agent = new TunnelAgent()
      const client = new VKitClient({
        appSecret: 'secret',
        baseUrl: 'http://127.0.0.1:9',
        maxRetries: 0,
        agent: { http: agent },
      })
      afterThisTest(() => client.close())
      if (state === 'used') await client.getSessionToken('first')
      agent.respond = ending
      const error = await failureOf(client.getSessionToken('second'))
      expect(error).toMatchObject({ code: 'VKIT_CONNECTION', attempts: 1, cause: { code: 'ECONNRESET' } })
      expect(agent.received.filter(identity => identity === 'second')).toHaveLength(1)
    },
  )
})
