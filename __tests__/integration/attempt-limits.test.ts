import { describe, expect, it } from '@jest/globals'
import { VKitClient } from '../../lib/index.js'
import { FakeClock } from '../../lib/testing/index.js'
import { failureOf } from '../support/failure.js'
import { afterThisTest, makeClient, recordEvents, startGateway } from '../support/gateway.js'
import { startRecordingServer } from '../support/recording-server.js'

const nextTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

describe('a call with its own timeoutMs', () => {
  it('fails with the timeout in the message, and the failure affects no later call', async () => {
    const gateway = await startGateway()
    const { types, onEvent } = recordEvents()
    const client = makeClient(gateway, { onEvent })
    gateway.failNext({ silence: true })
    const error = await failureOf(client.getSessionToken('user', { timeoutMs: 50, maxRetries: 0 }))
    expect(error).toMatchObject({ code: 'VKIT_TIMEOUT', retryable: true, attempts: 1 })
    expect(error.message).toMatch(/within 50 ms\.$/)
    expect(client.stats()).toMatchObject({ failingKeys: 0, circuit: 'closed', concurrencyLimit: 50 })
    await expect(client.getSessionToken('user')).resolves.toMatchObject({ identity: 'user' })
    expect(types()).toEqual(['miss', 'failure', 'miss', 'mint'])
  })

  it('is retried', async () => {
    const clock = new FakeClock()
    const gateway = await startGateway({ clock })
    const client = makeClient(gateway, { clock })
    gateway.failNext({ silence: true })
    const call = client.getSessionToken('user', { timeoutMs: 500 })
    while (gateway.requests.length === 0) await nextTurn()
    await clock.advance(500)
    while (gateway.requests.length === 1) await clock.advance(1)
    await expect(call).resolves.toMatchObject({ identity: 'user' })
    expect(gateway.requests).toHaveLength(2)
  })

  it('does not open the circuit of a gateway that never responds, whatever the number of users', async () => {
    const server = await startRecordingServer()
    server.respond = () => undefined
    const clock = new FakeClock()
    const client = new VKitClient({ appSecret: 'secret', baseUrl: `http://127.0.0.1:${server.port}`, clock })
    afterThisTest(() => client.close())
    const calls = Array.from({ length: 45 }, (_, i) =>
      failureOf(client.getSessionToken(`user${i}`, { timeoutMs: 900, maxRetries: 0 })),
    )
    while (server.requests.length < 45) await nextTurn()
    await clock.advance(900)
    expect(new Set((await Promise.all(calls)).map(({ code }) => code))).toEqual(new Set(['VKIT_TIMEOUT']))
    expect(client.stats()).toMatchObject({ circuit: 'closed', failingKeys: 0, concurrencyLimit: 50 })
  })

  it('may be longer than that of the client', async () => {
    const gateway = await startGateway()
    gateway.failNext({ delayMs: 300 })
    const client = makeClient(gateway, { timeoutMs: 100, maxRetries: 0 })
    await expect(client.getSessionToken('user', { timeoutMs: 10_000 })).resolves.toMatchObject({ identity: 'user' })
  })
})

describe('a call with its own maxRetries', () => {
  it('of 0 sends one request', async () => {
    const gateway = await startGateway()
    const client = makeClient(gateway)
    gateway.failNext({ status: 503 })
    expect(await failureOf(client.getSessionToken('user', { maxRetries: 0 }))).toMatchObject({ attempts: 1 })
    expect(gateway.requests).toHaveLength(1)
  })

  it.each(['default', 'no-store'] as const)(
    'of more than the client has is retried as often: cache %s',
    async cache => {
      const gateway = await startGateway()
      const client = makeClient(gateway, { maxRetries: 0 })
      gateway.failNext({ status: 503 }, 2)
      await expect(client.getSessionToken('user', { maxRetries: 2, cache })).resolves.toBeDefined()
    },
  )

  it('of 0 does not fail the calls that wait for the same token', async () => {
    const gateway = await startGateway()
    const client = makeClient(gateway)
    gateway.failNext({ status: 503 })
    const calls = [client.getSessionToken('user', { maxRetries: 0 }), client.getSessionToken('user')]
    const [first, second] = await Promise.all(calls)
    expect(first).toBe(second)
    expect(gateway.requests).toHaveLength(2)
  })

  it('is refused with VKIT_INVALID_ARGUMENT if it is not a whole number', async () => {
    const gateway = await startGateway()
    const error = await failureOf(makeClient(gateway).getSessionToken('user', { maxRetries: -1 }))
    expect(error.code).toBe('VKIT_INVALID_ARGUMENT')
  })
})
