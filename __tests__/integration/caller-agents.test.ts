import { describe, expect, it } from '@jest/globals'
import http from 'node:http'
import { Duplex } from 'node:stream'
import { VKitClient } from '../../lib/index.js'
import { failureOf } from '../support/failure.js'
import { afterThisTest } from '../support/gateway.js'

type Answer = (socket: Duplex, identity: string) => void

/** An agent whose connections are streams of JavaScript, as those of tunnels are; they tell no `bytesRead`. */
class TunnelAgent extends http.Agent {
  readonly asked: string[] = []
  answer: Answer = answerWhole

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
        this.asked.push(identity)
        this.answer(socket, identity)
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

function answerWhole(socket: Duplex, identity: string): void {
  const body = JSON.stringify({ sessionToken: 'T0KEN', expiresAt: '2099-01-01T00:00:00Z', identity })
  socket.push(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
}

const HALF = 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"a'

const ENDINGS: [string, Answer][] = [
  ['that is destroyed at once', socket => void (socket.push(HALF), socket.destroy())],
  ['that ends at once', socket => void (socket.push(HALF), socket.push(null))],
  [
    'that fails later',
    socket => {
      socket.push(HALF)
      setImmediate(() => socket.destroy(Object.assign(new Error('broken'), { code: 'ECONNRESET' })))
    },
  ],
]

describe('a connection of an agent that was given', () => {
  it.each(
    ENDINGS.flatMap(([name, ending]) => [true, false].map(used => [name, used ? 'used' : 'new', ending] as const)),
  )(
    '%s in the middle of an answer (%s) is a failed connection, and nothing is sent again',
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
      agent.answer = ending
      const error = await failureOf(client.getSessionToken('second'))
      expect(error).toMatchObject({ code: 'VKIT_CONNECTION', attempts: 1, cause: { code: 'ECONNRESET' } })
      expect(agent.asked.filter(identity => identity === 'second')).toHaveLength(1)
    },
  )
})
