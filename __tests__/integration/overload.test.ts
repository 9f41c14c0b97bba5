import { describe, expect, it } from '@jest/globals'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { VKitClient, type VKitEvent } from '../../lib/index.js'
import { failureOf } from '../support/failure.js'
import { afterThisTest, makeClient, startGateway } from '../support/gateway.js'

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** Sends a response when the test calls its function in `pending`, always in two parts. */
async function startSlowServer(): Promise<{ url: string; pending: (() => Promise<void>)[]; received: string[] }> {
  const pending: (() => Promise<void>)[] = []
  const received: string[] = []
  const server = http.createServer((req, res) => {
    let text = ''
    req.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    req.on('end', () => {
      const { identity } = JSON.parse(text) as { identity: string }
      received.push(identity)
      const body = JSON.stringify({ sessionToken: 'T0KEN', expiresAt: '2099-01-01T00:00:00Z', identity })
      pending.push(async () => {
        res.writeHead(200, { 'content-length': body.length }).write(body.slice(0, 20))
        for (let i = 0; i < 5; i++) await turn()
        res.end(body.slice(20))
      })
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  afterThisTest(async () => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, pending, received }
}

describe('many concurrent calls', () => {
  it('that are aborted in the queue are never sent, and do not affect the calls that take their connections', async () => {
    const server = await startSlowServer()
    const client = new VKitClient({ appSecret: 'secret', baseUrl: server.url, maxRetries: 0 })
    afterThisTest(() => client.close())
    const busy = Array.from({ length: 50 }, (_, i) => client.getSessionToken(`busy ${i}`))
    while (server.pending.length < 50) await turn()

    const abort = new AbortController()
    const options = { signal: abort.signal, cache: 'no-store' } as const
    const aborted = Array.from({ length: 20 }, (_, i) =>
      client.getSessionToken(`aborted ${i}`, options).catch(() => undefined),
    )
    for (let i = 0; i < 20; i++) await turn()
    const others = Array.from({ length: 100 }, (_, i) => client.getSessionToken(`other ${i}`))
    for (let i = 0; i < 20; i++) await turn()
    abort.abort(new Error('enough'))
    await Promise.all(aborted)

    const all = Promise.all([...busy, ...others])
    const state = { isSettled: false }
    all.finally(() => (state.isSettled = true)).catch(() => undefined)
    while (!state.isSettled) {
      for (const respond of server.pending.splice(0)) await respond()
      await turn()
    }
    await expect(all).resolves.toHaveLength(150)
    expect(server.received.filter(identity => identity.startsWith('aborted'))).toEqual([])
  })

  it("use no more connections than the caller's agent allows", async () => {
    const server = await startSlowServer()
    const agent = { http: new http.Agent({ keepAlive: true, maxSockets: 2 }) }
    const client = new VKitClient({ appSecret: 'secret', baseUrl: server.url, agent })
    afterThisTest(() => client.close())
    afterThisTest(async () => agent.http.destroy())
    const all = Array.from({ length: 6 }, (_, i) => client.getSessionToken(`user ${i}`))
    for (const sent of [2, 4, 6]) {
      while (server.received.length < sent) await turn()
      for (let i = 0; i < 20; i++) await turn()
      expect(server.received).toHaveLength(sent)
      for (const respond of server.pending.splice(0)) await respond()
    }
    await expect(Promise.all(all)).resolves.toHaveLength(6)
  })

  it('end with VKIT_CLOSED if the client closes before they have a connection', async () => {
    const server = await startSlowServer()
    const client = new VKitClient({ appSecret: 'secret', baseUrl: server.url })
    const all = Array.from({ length: 60 }, (_, i) => failureOf(client.getSessionToken(`user ${i}`)))
    await turn()
    await client.close()
    expect(new Set((await Promise.all(all)).map(error => error.code))).toEqual(new Set(['VKIT_CLOSED']))
    expect(client.stats().inFlight).toBe(0)
  })

  it('with a short deadline do not count as an outage', async () => {
    const gateway = await startGateway()
    const client = makeClient(gateway)
    await client.getSessionToken('first')
    gateway.fail({ silence: true })
    const timedOut = Array.from({ length: 10 }, () =>
      failureOf(client.getSessionToken('short deadline', { cache: 'no-store', deadlineMs: 5 })),
    )
    expect((await Promise.all(timedOut)).map(error => error.code)).toEqual(Array(10).fill('VKIT_TIMEOUT'))
    expect(client.stats().circuit).toBe('closed')
  })
})

describe('an event listener', () => {
  it('that closes the client leaves no entry and no call in flight', async () => {
    const gateway = await startGateway()
    const onEvent = (event: VKitEvent): void => {
      if (event.type === 'miss') void client.close()
    }
    const client: VKitClient = makeClient(gateway, { onEvent })
    expect((await failureOf(client.getSessionToken('user'))).code).toBe('VKIT_CLOSED')
    expect(client.stats()).toMatchObject({ entries: 0, inFlight: 0 })
  })
})
