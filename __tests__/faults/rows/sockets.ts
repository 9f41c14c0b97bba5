import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Context } from '../harness/context.js'
import { survive } from '../harness/meet.js'
import { respondCorrectly, http, correctBody, type RawGateway, type RawRequest } from '../harness/raw-gateway.js'
import type { Row } from '../harness/row.js'

const REQUEST_TIMEOUT = http('', ['Content-Length: 0', 'Connection: close'], '408 Request Timeout')

/** Responds to the first request on a connection, and calls `end` for each later one. */
const onReuse =
  (end: (socket: Socket) => void) =>
  (request: RawRequest): void => {
    if (request.index > 0) end(request.socket)
    else respondCorrectly(request)
  }

async function expectResend(t: Context, gateway: RawGateway, end: (socket: Socket) => void): Promise<void> {
  gateway.respond = onReuse(end)
  const client = await survive(t, gateway, { begin: () => undefined, requests: 2 })
  assert.equal(client.stats().retries, 0)
  assert.ok(t.types().includes('resend'))
}

export const sockets: readonly Row[] = [
  {
    n: 20,
    fault: 'a reused socket closed or reset at the second request',
    outcome: 'success, 1 + 1 free',
    notWithFetch: 'fetch does not show that a connection was reused, so the next attempt is a retry',
    async run(t) {
      await expectResend(t, await t.raw(), socket => socket.destroy())
      await expectResend(t, await t.raw(), socket => socket.resetAndDestroy())
      await expectResend(t, await t.raw(t.certificates.good), socket => socket.destroy())
    },
  },
  {
    n: 21,
    fault: 'all eight idle sockets are dead',
    outcome: 'success on a new connection, 1 + 1 free',
    notWithFetch: 'fetch does not show that a connection was reused, so the next attempt is a retry',
    async run(t) {
      const gateway = await t.raw()
      const client = t.client(gateway)
      await Promise.all(Array.from({ length: 8 }, (_, index) => t.mint(client, `user-${index}`)))
      const idle = new Set(gateway.sockets)
      assert.equal(idle.size, 8)
      gateway.respond = onReuse(() => {
        for (const socket of idle) socket.resetAndDestroy()
      })
      await t.mint(client, 'victim')
      const [first, second, ...more] = gateway.requests.filter(({ identity }) => identity === 'victim')
      assert.ok(first && second && more.length === 0)
      assert.ok(idle.has(first.socket))
      assert.ok(!idle.has(second.socket), 'sent again on a new connection')
      assert.equal(client.stats().retries, 0)
    },
  },
  {
    n: 22,
    fault: 'an unsolicited 408 on an idle socket',
    outcome: 'success, ≤2',
    async run(t) {
      const early = await t.raw()
      const sendTimeouts = (): void => {
        for (const socket of early.sockets) socket.end(REQUEST_TIMEOUT)
      }
      await survive(t, early, { begin: sendTimeouts, requests: { atMost: 2 } })

      const seen = await t.raw()
      const client = t.client(seen)
      await t.mint(client, 'keeper')
      const [socket] = seen.sockets
      assert.ok(socket)
      socket.write(REQUEST_TIMEOUT)
      await once(socket, 'close')
      await t.mint(client, 'victim')
      assert.equal(seen.seenOf('victim'), 1)

      const late = await t.raw()
      late.respond = onReuse(reused => {
        late.respond = respondCorrectly
        reused.end(REQUEST_TIMEOUT)
      })
      await survive(t, late, { begin: () => undefined, requests: { atMost: 2 } })
    },
  },
  {
    n: 23,
    fault: 'one response too many on the socket (desync)',
    outcome: 'the surplus response is never used, 1',
    async run(t) {
      const surplus = http(correctBody('victim', { sessionToken: t.hide('the-surplus-token') }))
      for (const inOneWrite of [true, false]) {
        const gateway = await t.raw()
        const client = t.client(gateway)
        const right = http(correctBody('victim'))
        gateway.respond = ({ socket }) => void socket.write(inOneWrite ? right + surplus : right)
        await t.mint(client, 'victim')
        const [socket] = gateway.sockets
        assert.ok(socket)
        const closed = once(socket, 'close')
        if (!inOneWrite) socket.write(surplus)
        await closed
        await client.invalidate('victim')
        gateway.respond = respondCorrectly
        assert.equal(await t.mint(client, 'victim'), 'opaque-token-of-victim')
        assert.equal(gateway.seenOf('victim'), 2)
        assert.equal(gateway.sockets.length, 2, 'the connection was closed')
      }
    },
  },
]
