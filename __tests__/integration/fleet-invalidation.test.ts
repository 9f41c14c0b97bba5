import { describe, expect, it } from '@jest/globals'
import type { VKitClient, VKitClientOptions } from '../../lib/index.js'
import { FakeClock, type GatewayEmulator } from '../../lib/testing/index.js'
import { failureOf } from '../support/failure.js'
import { makeClient, recordEvents, startGateway } from '../support/gateway.js'
import { MemoryStore } from '../support/memory-store.js'
import { runScript, useScripts } from '../support/script.js'
import { untilTrue } from '../support/until.js'

useScripts()

const USER = 'END_USER_of_a_customer'

type Process = VKitClient & { readonly recorded: ReturnType<typeof recordEvents> }

/** Clients of one gateway, with one store and one clock: as processes, except that a test can read their events. */
async function setUp(count: number, options?: VKitClientOptions) {
  const clock = new FakeClock(Date.now())
  const gateway = await startGateway({ clock, appSecret: 'first' })
  const store = new MemoryStore(clock)
  const start = (own?: VKitClientOptions): Process => {
    const recorded = recordEvents()
    const { onEvent } = recorded
    return Object.assign(makeClient(gateway, { clock, cache: { store }, onEvent, ...options, ...own }), { recorded })
  }
  const processes = Array.from({ length: count }, () => start())
  let token = ''
  for (const process of processes) {
    token = await get(process)
    await untilTrue(() => process.recorded.types().includes('subscription-start'))
    // The first process must have stored the token before the next one looks for it.
    await untilTrue(() => store.operations.some(({ operation }) => operation === 'set'))
    await untilTrue(() => process.stats().mints === 0 || store.operations.at(-1)?.operation === 'releaseLease')
    expect(await get(process)).toBe(token)
    process.recorded.events.length = 0
  }
  store.operations.length = 0
  return { clock, gateway, store, start, processes: processes as [Process, Process, ...Process[]], token }
}

async function get(client: VKitClient, cache?: 'reload' | 'no-store'): Promise<string> {
  return (await client.getSessionToken(USER, cache ? { cache } : undefined)).sessionToken
}

const heard = (process: Process, count = 1): Promise<void> =>
  untilTrue(() => process.stats().invalidationsReceived === count)

/** Which of the processes still serve `token` without a mint. */
async function mintsUntilFresh(processes: readonly Process[], gateway: GatewayEmulator, token: string) {
  const before = gateway.mints
  for (const process of processes) {
    expect(await get(process)).not.toBe(token)
    await untilTrue(() => process.stats().inFlight === 0)
  }
  return gateway.mints - before
}

describe('clients with one store', () => {
  it('lose a token that one of them invalidates, in all of them', async () => {
    const { gateway, processes, token } = await setUp(4)
    const [one, ...others] = processes
    await one.invalidate(USER)
    await Promise.all(others.map(other => heard(other)))
    expect(one.stats()).toMatchObject({ invalidationsSent: 1, invalidationsReceived: 0 })
    for (const other of others) expect(other.stats()).toMatchObject({ invalidationsSent: 0, entries: 0 })
    expect(await mintsUntilFresh([one], gateway, token)).toBe(1)
  })

  it('lose only the token that is named', async () => {
    const { processes, token } = await setUp(2)
    const [one, other] = processes
    await one.invalidate(USER, { token: 'another' })
    await heard(other)
    expect(await get(other)).toBe(token)
    await one.invalidate(USER, { token })
    await heard(other, 2)
    expect(other.stats().entries).toBe(0)
    expect(await get(other)).not.toBe(token)
  })

  it("use the token of a 'reload' of one of them", async () => {
    const { gateway, processes, token } = await setUp(3)
    const [one, ...others] = processes
    const fresh = await get(one, 'reload')
    expect(fresh).not.toBe(token)
    await Promise.all(others.map(other => heard(other)))
    for (const process of processes) expect(await get(process)).toBe(fresh)
    expect(gateway.mints).toBe(2)
  })

  it('keep a token although the gateway refuses one of them', async () => {
    const { clock, gateway, store, processes, token } = await setUp(2)
    const [one, other] = processes
    await clock.advance(0.7 * 3_600_000)
    gateway.fail({ status: 403 })
    await get(one)
    await untilTrue(() => one.recorded.types().includes('eviction'))
    await untilTrue(() => store.operations.some(({ operation }) => operation === 'delete'))
    expect(store.messages).toEqual([])
    expect(await get(other)).toBe(token)
  })

  it("send nothing for 'no-store'", async () => {
    const { store, processes, token } = await setUp(2)
    expect(await get(processes[0], 'no-store')).not.toBe(token)
    expect(store.operations).toEqual([])
    expect(await get(processes[1])).toBe(token)
  })

  it('send nothing if one of them has no cache', async () => {
    const { store, start, processes, token } = await setUp(2)
    const uncached = start({ cache: false })
    await get(uncached)
    await get(uncached, 'reload')
    expect(store.operations).toEqual([])
    expect(await get(processes[1])).toBe(token)
  })

  it('check their tokens after a lost subscription, once', async () => {
    const { clock, gateway, store, processes, token } = await setUp(2)
    const [one, other] = processes
    store.losesMessages = true
    await one.invalidate(USER)
    expect(await get(other)).toBe(token)
    store.loseSubscriptions()
    await clock.advance(500)
    await untilTrue(() => other.recorded.types().includes('subscription-start'))
    expect(await mintsUntilFresh([other], gateway, token)).toBe(1)
    expect(other.recorded.events).toContainEqual({ type: 'subscription-loss', reason: 'connection' })
  })

  it('serve their tokens while the subscription is lost', async () => {
    const { clock, store, processes, token } = await setUp(2)
    store.refusesSubscriptions = true
    store.loseSubscriptions()
    await clock.advance(60_000)
    for (const process of processes) expect(await get(process)).toBe(token)
  })

  it('hear of an invalidation that could not be sent, when the store is back', async () => {
    const { clock, store, processes, token } = await setUp(2)
    const [one, other] = processes
    store.failing.add('publish').add('delete')
    await one.invalidate(USER)
    expect(one.stats().invalidationsSent).toBe(0)
    expect(await get(other)).toBe(token)
    store.failing.clear()
    await clock.advance(5_000)
    await heard(other)
    expect(await get(other)).not.toBe(token)
    expect(one.stats().invalidationsSent).toBe(1)
  })

  it('send and hear nothing after close', async () => {
    const { clock, store, processes } = await setUp(2)
    const [one, other] = processes
    await one.close()
    expect(store.subscriptions).toBe(1)
    const before = store.operations.length
    expect(await failureOf(one.invalidate(USER))).toMatchObject({ code: 'VKIT_CLOSED' })
    await other.invalidate(USER)
    await clock.advance(10_000)
    expect(one.stats().invalidationsReceived).toBe(0)
    await other.close()
    expect(store.subscriptions).toBe(0)
    expect(store.messages).toHaveLength(1)
    expect(store.operations.length).toBeGreaterThan(before)
  })

  it('tell each other of an invalidation during a secret rotation', async () => {
    const secret = { current: 'first' }
    const { gateway, store, processes, token } = await setUp(2, { appSecret: () => secret.current })
    const [one, other] = processes
    gateway.appSecret = secret.current = 'second'
    // Two users: a reload of one user in both processes is an invalidation too, which could meet the second mint.
    await one.getSessionToken('a-second-user')
    await other.getSessionToken('a-third-user')
    await untilTrue(() => store.subscriptions === 4)
    for (const { recorded } of processes)
      await untilTrue(() => recorded.types().some(type => type === 'subscription-start'))
    await one.invalidate(USER)
    await untilTrue(() => other.recorded.events.some(event => event.type === 'invalidation-received' && event.evicted))
    expect(await get(other)).not.toBe(token)
  })

  it('put neither a token, an identity nor the secret into messages and events', async () => {
    const { gateway, store, processes, token } = await setUp(2)
    const [one, other] = processes
    await one.invalidate(USER, { token })
    await get(one, 'reload')
    await heard(other, 2)
    const shown = JSON.stringify([
      store.messages,
      store.operations,
      ...processes.map(({ recorded }) => recorded.events),
    ])
    for (const text of [token, USER, gateway.appSecret])
      for (const encoding of ['utf8', 'hex', 'base64', 'base64url'] as const)
        expect(shown).not.toContain(Buffer.from(text).toString(encoding).replace(/=+$/, ''))
  })
})

it('a process ends although its subscription is open', async () => {
  const gateway = await startGateway()
  const end = await runScript(
    gateway,
    `const records = new Map()
     const store = {
       get: key => records.get(key), set: (key, value) => records.set(key, value), delete: key => records.delete(key),
       publish: () => undefined, subscribe: async () => ({ ping: () => undefined, close: () => undefined }),
     }
     const vkit = new VKitClient({ cache: { store } })
     await vkit.getSessionToken('user')
     await vkit.invalidate('user')
     console.log(vkit.stats().invalidationsSent)`,
  )
  expect(end).toEqual({ code: 0, out: '1\n', err: '' })
})
