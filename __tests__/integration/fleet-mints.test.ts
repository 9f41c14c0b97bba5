import { describe, expect, it } from '@jest/globals'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type {
  ClientStats,
  GetSessionTokenOptions,
  SessionToken,
  TokenStore,
  VKitClient,
  VKitClientOptions,
} from '../../lib/index.js'
import { FakeClock, type GatewayEmulator } from '../../lib/testing/index.js'
import { failureOf } from '../support/failure.js'
import { afterThisTest, makeClient, recordEvents, startGateway } from '../support/gateway.js'
import { MemoryStore } from '../support/memory-store.js'
import { untilTrue } from '../support/until.js'

type Process = VKitClient & { readonly types: () => string[] }

const HOUR = 3_600_000
/** A poll of a waiting mint is at most this much later. */
const POLL_MS = 450

/** Forwards requests to the emulator when the test says so. */
class Valve {
  readonly waiting: (() => void)[] = []
  isOpen = true
  received = 0
  url = ''

  static async start(gateway: GatewayEmulator): Promise<Valve> {
    const valve = new Valve()
    const server = http.createServer((req, res) => void valve.#forward(gateway.url, req, res))
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    afterThisTest(async () => {
      server.closeAllConnections()
      server.close()
    })
    valve.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return valve
  }

  open(): void {
    this.isOpen = true
    for (const go of this.waiting.splice(0)) go()
  }

  async #forward(base: string, req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk as Buffer)
    this.received++
    if (!this.isOpen) await new Promise<void>(resolve => this.waiting.push(resolve))
    const [path = '', authorization = ''] = [req.url, req.headers.authorization]
    const headers = { authorization, 'content-type': 'application/json' }
    const response = await fetch(base + path, { method: 'POST', headers, body: Buffer.concat(chunks) }).catch(
      () => undefined,
    )
    if (!response) return void res.destroy()
    res.writeHead(response.status, { 'content-type': 'application/json', date: response.headers.get('date') ?? '' })
    res.end(await response.text())
  }
}

/** Processes that share a store, on a clock that advances only on request: so no wait ends by itself. */
async function setUp(size: number, options?: VKitClientOptions) {
  const clock = new FakeClock()
  const gateway = await startGateway({ clock })
  const valve = await Valve.start(gateway)
  const store = new MemoryStore(clock)
  const start = (own?: VKitClientOptions): Process => {
    const { types, onEvent } = recordEvents()
    const client = makeClient(gateway, { baseUrl: valve.url, clock, cache: { store }, onEvent, ...options, ...own })
    return Object.assign(client, { types })
  }
  const fleet = Array.from({ length: size }, () => start())
  const [first = start(), second = start()] = fleet
  const call = (options?: GetSessionTokenOptions): Promise<SessionToken>[] =>
    fleet.map(client => client.getSessionToken('user', options))
  const count = (name: keyof ClientStats): number =>
    fleet.reduce((sum, client) => sum + Number(client.stats()[name]), 0)
  const done = (operation: string): number => store.operations.filter(each => each.operation === operation).length
  /** All but one process wait for the mint of that one. */
  const waiting = (): Promise<void> =>
    untilTrue(() => count('leaseWaits') === size - 1 && (valve.isOpen || valve.waiting.length === 1))
  /** Nothing is left of the mints, in any process. */
  const idle = async (): Promise<void> => {
    await passTime(() => count('inFlight') === 0)
    expect(count('queued')).toBe(0)
    await Promise.all(fleet.map(client => client.close()))
    await untilTrue(() => clock.sleepers === 0)
    expect(store.leases).toEqual([])
  }
  /** Lets another process have the leases for ever: those that this fleet has not asked for yet, and those it has. */
  const occupy = (): void => void (store.foreignHolder = 'another')
  /** Lets time pass while no process mints, so that no mint seems slow. */
  const passTime = async (isDone: () => boolean): Promise<void> => {
    while (!isDone()) {
      await untilTrue(() => isDone() || store.leases.length === 0)
      await clock.advance(10)
    }
  }
  /** Lets time pass until that many mints have waited in vain. Returns how long that took. */
  const passTimeouts = async (timeouts: number): Promise<number> => {
    const startedAt = clock.monotonic()
    while (count('leaseTimeouts') < timeouts) await clock.advance(10)
    return clock.monotonic() - startedAt
  }
  /** Each process learns how long a mint takes: no time at all. */
  const learn = async (): Promise<void> => {
    await Promise.all(fleet.map((client, i) => client.getSessionToken(`user of ${i}`)))
    await untilTrue(() => store.leases.length === 0)
    store.operations.length = valve.received = 0
  }
  return {
    clock,
    gateway,
    valve,
    store,
    start,
    fleet,
    first,
    second,
    call,
    count,
    done,
    waiting,
    idle,
    occupy,
    learn,
    passTime,
    passTimeouts,
  }
}

/** A fleet of which the first process mints, and the others wait for it. */
async function setUpWaiting(size: number, { knowsMedian = true, ...options }: VKitClientOptions & Knowledge = {}) {
  const all = await setUp(size, options)
  if (knowsMedian) await all.learn()
  all.valve.isOpen = false
  const holding = all.first.getSessionToken('user')
  await untilTrue(() => all.valve.waiting.length === 1)
  const others = all.fleet.slice(1).map(client => client.getSessionToken('user'))
  await all.waiting()
  return { ...all, holding, others }
}

interface Knowledge {
  /** Whether the processes know how long a mint takes. */
  readonly knowsMedian?: boolean
}

/** A store that stops working for one process. */
function mortal(store: MemoryStore): { readonly store: TokenStore; die: () => void } {
  let isDead = false
  const own = new Proxy(store, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      return (...args: unknown[]): unknown =>
        isDead ? new Promise(() => undefined) : Reflect.apply(member as () => unknown, target, args)
    },
  })
  return { store: own, die: () => (isDead = true) }
}

describe('a cold user', () => {
  it.each([4, 16])('is minted once for %i processes', async size => {
    const { clock, gateway, valve, call, count, done, waiting, idle } = await setUp(size)
    valve.isOpen = false
    const calls = call()
    await waiting()
    valve.open()
    await untilTrue(() => done('releaseLease') === 1)
    await clock.advance(POLL_MS)
    const tokens = await Promise.all(calls)
    expect(new Set(tokens.map(token => token.sessionToken)).size).toBe(1)
    expect(gateway.mints).toBe(1)
    expect([count('leasesTaken'), count('leaseWaits'), count('leaseTimeouts')]).toEqual([1, size - 1, 0])
    await idle()
  })

  it('is minted once for each set of scopes', async () => {
    const { gateway, first, second, idle } = await setUp(2)
    await Promise.all([
      first.getSessionToken('user', ['videos.read']),
      second.getSessionToken('user', ['videos.write']),
    ])
    expect(gateway.mints).toBe(2)
    await idle()
  })

  it('of two runs over the same list is minted once', async () => {
    const { gateway, fleet, count, idle, passTime } = await setUp(2)
    const users = Array.from({ length: 100 }, (_, i) => `user ${i}`)
    const state = { running: 2 }
    const run = async (client: VKitClient): Promise<(string | undefined)[]> => {
      const results: (string | undefined)[] = []
      for await (const { token } of client.getSessionTokens(users)) results.push(token?.sessionToken)
      state.running--
      return results
    }
    const runs = Promise.all(fleet.map(run))
    await passTime(() => state.running === 0)
    const [mine, theirs] = await runs
    expect([mine?.length, new Set([...(mine ?? []), ...(theirs ?? [])]).size]).toEqual([100, 100])
    expect([gateway.mints, count('failures')]).toEqual([100, 0])
    await idle()
  })
})

describe('a token that all processes have', () => {
  async function setUpDue(size: number) {
    const all = await setUp(size)
    for (const client of all.fleet) {
      await client.getSessionToken('user')
      await untilTrue(() => all.store.leases.length === 0)
    }
    await all.clock.advance(0.8 * HOUR)
    all.store.operations.length = all.valve.received = 0
    return all
  }

  it.each([4, 16])('is refreshed once by %i processes', async size => {
    const { clock, gateway, valve, call, count, done, idle } = await setUpDue(size)
    valve.isOpen = false
    const old = new Set((await Promise.all(call())).map(token => token.sessionToken))
    expect(old.size).toBe(1)
    await untilTrue(() => valve.waiting.length === 1 && count('inFlight') === 1)
    valve.open()
    await untilTrue(() => done('releaseLease') === 1)
    await clock.advance(1_500)
    await Promise.all(call())
    await untilTrue(() => count('inFlight') === 0)
    const fresh = new Set((await Promise.all(call())).map(token => token.sessionToken))
    expect(fresh.size).toBe(1)
    expect(gateway.mints).toBe(2)
    // No call has waited.
    expect([count('leaseWaits'), count('leaseTimeouts')]).toEqual([0, 0])
    await idle()
  })

  it('is refreshed at most once a second while another process does it', async () => {
    const { clock, valve, call, second, count, idle } = await setUpDue(2)
    valve.isOpen = false
    await Promise.all(call())
    await untilTrue(() => valve.waiting.length === 1 && count('inFlight') === 1)
    const before = count('refreshes')
    for (let ms = 0; ms < 2_000; ms += 20) {
      await Promise.all(call())
      await untilTrue(() => count('inFlight') === 1)
      await clock.advance(20)
    }
    expect(count('refreshes') - before).toBeLessThanOrEqual(4)
    expect(second.types()).toContain('refresh')
    valve.open()
    await idle()
  })

  it('waits for its refresh if it is invalidated while another process refreshes it', async () => {
    const { clock, store, valve, first, second, done, idle } = await setUpDue(2)
    valve.isOpen = false
    await first.getSessionToken('user')
    await untilTrue(() => valve.waiting.length === 1)
    const open = store.hold('acquireLease')
    await second.getSessionToken('user')
    await untilTrue(() => done('acquireLease') === 2)
    await second.invalidate('user')
    open()
    for (let ms = 0; ms < 200; ms += 10) await clock.advance(10)
    expect(second.stats().inFlight).toBe(1)
    expect(done('acquireLease')).toBeLessThan(10)
    valve.open()
    await untilTrue(() => store.leases.length === 0)
    await clock.advance(POLL_MS)
    await idle()
  })

  it('is waited for by a call that has joined the refresh', async () => {
    const { clock, gateway, valve, first, second, done, idle } = await setUpDue(2)
    valve.isOpen = false
    await first.getSessionToken('user')
    await untilTrue(() => valve.waiting.length === 1)
    const old = await second.getSessionToken('user')
    const joined = second.getSessionToken('user', { minValidityMs: 0.5 * HOUR })
    await untilTrue(() => second.stats().leaseWaits === 1)
    valve.open()
    await untilTrue(() => done('releaseLease') === 1)
    await clock.advance(POLL_MS)
    expect((await joined).sessionToken).not.toBe(old.sessionToken)
    expect(gateway.mints).toBe(2)
    await idle()
  })
})

describe('a call takes no lease', () => {
  it("with cache: 'no-store'", async () => {
    const { first, gateway, done, idle } = await setUp(1)
    await first.getSessionToken('user', { cache: 'no-store' })
    expect([gateway.mints, done('acquireLease')]).toEqual([1, 0])
    await idle()
  })

  it("with cache: 'reload', even if another process has it", async () => {
    const { first, gateway, done, idle, occupy } = await setUp(1)
    occupy()
    await first.getSessionToken('user', { cache: 'reload' })
    expect([gateway.mints, done('acquireLease')]).toEqual([1, 0])
    await idle()
  })

  it('of a client without a cache', async () => {
    const { start, gateway, done } = await setUp(0)
    await start({ cache: false }).getSessionToken('user')
    expect([gateway.mints, done('acquireLease')]).toEqual([1, 0])
  })
})

describe('a reload', () => {
  it('mints at once for the mint that waits for another process', async () => {
    const { clock, valve, second, others, holding, idle } = await setUpWaiting(2)
    valve.isOpen = true
    const startedAt = clock.monotonic()
    const token = await second.getSessionToken('user', { cache: 'reload' })
    expect(await others[0]).toBe(token)
    expect(clock.monotonic()).toBe(startedAt)
    valve.open()
    await holding
    await idle()
  })
})

describe('a process with the lease', () => {
  it('that dies is replaced by one other, 1.5 s later at the latest', async () => {
    const { clock, gateway, valve, store, start, fleet, call } = await setUp(3)
    const own = mortal(store)
    const dead = start({ cache: { store: own.store } })
    valve.isOpen = false
    const lost = dead.getSessionToken('user').catch(() => 'lost')
    await untilTrue(() => valve.waiting.length === 1)
    const calls = call()
    await untilTrue(() => fleet.every(client => client.stats().leaseWaits === 1))
    await clock.advance(299)
    own.die()
    valve.isOpen = true
    await clock.advance(1_201)
    await untilTrue(() => gateway.mints === 1)
    await untilTrue(() => store.leases.length === 0)
    await clock.advance(POLL_MS)
    await Promise.all(calls)
    expect(gateway.mints).toBe(1)
    await dead.close()
    expect(await lost).toBe('lost')
  })

  it('that hangs is overtaken by one other', async () => {
    const { clock, gateway, valve, others, holding, count, done, idle, passTimeouts } = await setUpWaiting(6)
    valve.isOpen = true
    const learned = gateway.mints
    expect(await passTimeouts(1)).toBeLessThanOrEqual(1_500 + POLL_MS)
    await untilTrue(() => gateway.mints > learned && done('set') > 0 && done('releaseLease') > 0)
    await clock.advance(POLL_MS)
    await Promise.all(others)
    expect(gateway.mints - learned).toBe(1)
    expect(count('leaseTimeouts')).toBe(1)
    valve.open()
    await holding
    await idle()
  })

  it('that is slow is waited for if it is not known how long a mint takes', async () => {
    const { clock, gateway, valve, others, holding, idle, done } = await setUpWaiting(6, { knowsMedian: false })
    await clock.advance(3_000)
    valve.open()
    await holding
    await untilTrue(() => done('releaseLease') === 1)
    await clock.advance(POLL_MS)
    await Promise.all(others)
    expect(gateway.mints).toBe(1)
    await idle()
  })

  it('frees it when the gateway refuses the user, so that each process hears that itself', async () => {
    const { gateway, valve, others, holding, count, idle, passTime } = await setUpWaiting(4)
    gateway.fail({ status: 403 })
    valve.open()
    const failures = [holding, ...others].map(failureOf)
    await passTime(() => count('failures') === 4)
    expect((await Promise.all(failures)).map(error => error.status)).toEqual([403, 403, 403, 403])
    expect(valve.received).toBe(4)
    expect(count('leaseTimeouts')).toBe(0)
    await idle()
  })

  it('frees it when the gateway is down, after its retries', async () => {
    const { clock, gateway, valve, others, holding, count, idle } = await setUpWaiting(2, { maxRetries: 1 })
    gateway.fail({ status: 503 })
    valve.open()
    const failures = [holding, ...others].map(failureOf)
    for (let attempt = 1; attempt <= 4; attempt++) {
      await untilTrue(() => valve.received >= attempt)
      await untilTrue(() => count('retries') + count('failures') >= attempt)
      await clock.advance(POLL_MS)
    }
    expect((await Promise.all(failures)).map(error => error.attempts)).toEqual([2, 2])
    await idle()
  })

  it('asks for a new secret after a 401, and so does each process that finds no record under the old one', async () => {
    const { gateway, store, start, valve, passTime } = await setUp(0)
    const reads = [0, 0, 0]
    const secretOf = (i: number) => (): string => {
      reads[i] = (reads[i] ?? 0) + 1
      return gateway.appSecret
    }
    const fleet = reads.map((_, i) => start({ appSecret: secretOf(i) }))
    valve.isOpen = false
    const calls = fleet.map(client => client.getSessionToken('user'))
    await untilTrue(() => valve.waiting.length === 1)
    await untilTrue(() => fleet.filter(client => client.stats().leaseWaits > 0).length === 2)
    // For the record, and for the mint.
    expect(reads).toEqual([2, 2, 2])
    gateway.appSecret = `${gateway.appSecret}x`
    valve.open()
    await passTime(() => gateway.mints === 3)
    await Promise.all(calls)
    // The record is under the new secret: the others cannot read it before the gateway has refused the old one.
    expect(reads).toEqual([3, 3, 3])
    await Promise.all(fleet.map(client => client.close()))
    await untilTrue(() => store.leases.length === 0)
  })
})

describe('a lease of others that never ends', () => {
  it('delays a call by 1.5 s, one median mint and the time for one that overtakes', async () => {
    const { first, gateway, idle, learn, occupy, passTimeouts } = await setUp(1)
    await learn()
    occupy()
    const call = first.getSessionToken('user')
    await untilTrue(() => first.stats().leaseWaits === 1)
    expect(await passTimeouts(1)).toBeLessThanOrEqual(1_500 + 1_500 + POLL_MS)
    await call
    expect(gateway.mints).toBe(2)
    await idle()
  })

  it('delays no call after the third one, for a while', async () => {
    const { first, idle, learn, occupy, passTimeouts } = await setUp(1)
    await learn()
    occupy()
    for (let user = 1; user <= 3; user++) {
      const call = first.getSessionToken(`user ${user}`)
      await untilTrue(() => first.stats().leaseWaits === user)
      await passTimeouts(user)
      await call
    }
    expect(first.types()).toContain('lease-pause')
    await first.getSessionToken('another')
    expect(first.stats().leaseWaits).toBe(3)
    await idle()
  })
})

describe('a call that waits for another process', () => {
  it('gets its token within its own deadline', async () => {
    const { clock, gateway, store, start, occupy } = await setUp(0)
    occupy()
    const client = start()
    const call = client.getSessionToken('user', { deadlineMs: 400 })
    await untilTrue(() => client.stats().leaseWaits === 1)
    await clock.advance(399)
    await call
    expect(gateway.mints).toBe(1)
    expect(store.leases).toEqual([])
  })

  it('gets its token within its own deadline if it has joined a mint that waits', async () => {
    const { clock, gateway, second, others, idle, valve, holding } = await setUpWaiting(2)
    valve.isOpen = true
    await clock.advance(1_000)
    const call = second.getSessionToken('user', { deadlineMs: 100 })
    await clock.advance(99)
    expect(await call).toBe(await others[0])
    expect(gateway.mints).toBe(3)
    valve.open()
    await holding
    await idle()
  })

  it('gets its token within the deadline of the client', async () => {
    const { clock, first, gateway, idle, occupy } = await setUp(1, { deadlineMs: 1_000 })
    occupy()
    const call = first.getSessionToken('user')
    await untilTrue(() => first.stats().leaseWaits === 1)
    await clock.advance(999)
    await call
    expect(gateway.mints).toBe(1)
    await idle()
  })

  it('ends with the deadline of the client while the store does not answer', async () => {
    const { clock, store, first, done, idle } = await setUp(1, { deadlineMs: 50 })
    const answer = store.hold('acquireLease')
    const failure = failureOf(first.getSessionToken('user'))
    await untilTrue(() => done('acquireLease') === 1)
    await clock.advance(50)
    expect((await failure).code).toBe('VKIT_TIMEOUT')
    answer()
    await idle()
  })

  it('ends at once with VKIT_CLOSED while the store does not answer', async () => {
    const { store, first, done, idle } = await setUp(1)
    const answer = store.hold('acquireLease')
    const failure = failureOf(first.getSessionToken('user'))
    await untilTrue(() => done('acquireLease') === 1)
    await first.close()
    expect((await failure).code).toBe('VKIT_CLOSED')
    answer()
    await idle()
  })

  it('ends with its signal, and its mint goes on waiting', async () => {
    const { clock, gateway, second, holding, valve, done, idle } = await setUpWaiting(2)
    const abort = new AbortController()
    const call = second.getSessionToken('user', { signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(call).rejects.toThrow('enough')
    valve.open()
    await holding
    await untilTrue(() => done('releaseLease') > 0)
    await clock.advance(POLL_MS)
    await untilTrue(() => second.stats().inFlight === 0)
    await second.getSessionToken('user')
    expect([gateway.mints, second.stats().hits]).toEqual([3, 1])
    await idle()
  })

  it('ends with VKIT_CLOSED when its client is closed', async () => {
    const { second, others, holding, valve, idle } = await setUpWaiting(2)
    const failure = failureOf(others[0] ?? Promise.resolve())
    await second.close()
    expect((await failure).code).toBe('VKIT_CLOSED')
    valve.open()
    await holding
    await idle()
  })

  it('is waited for by a drain', async () => {
    const { clock, gateway, second, others, holding, valve, done, idle } = await setUpWaiting(2)
    const closed = second.close({ drainMs: 60_000 })
    valve.open()
    await holding
    await untilTrue(() => done('releaseLease') > 0)
    await clock.advance(POLL_MS)
    await closed
    expect((await others[0])?.identity).toBe('user')
    expect(gateway.mints).toBe(3)
    await idle()
  })

  it('mints at its next poll if the store is paused meanwhile', async () => {
    const { clock, gateway, store, second, others, holding, valve, idle } = await setUpWaiting(2)
    valve.isOpen = true
    const open = store.hold('get')
    for (let poll = 0; poll < 3; poll++) await clock.advance(POLL_MS)
    expect(second.types()).toContain('store-pause')
    await others[0]
    expect(gateway.mints).toBe(3)
    open()
    valve.open()
    await holding
    await idle()
  })

  it('takes a token with less validity than its minValidityMs, because another would not have more', async () => {
    const { clock, gateway, valve, first, second, store, idle } = await setUp(2)
    gateway.lifetimeMs = 60_000
    valve.isOpen = false
    const holding = first.getSessionToken('user')
    await untilTrue(() => valve.waiting.length === 1)
    const call = second.getSessionToken('user', { minValidityMs: HOUR })
    await untilTrue(() => second.stats().leaseWaits === 1)
    valve.open()
    await holding
    await untilTrue(() => store.leases.length === 0)
    await clock.advance(POLL_MS)
    await call
    expect(gateway.mints).toBe(1)
    await idle()
  })
})

describe('a client that is closed while it mints for all', () => {
  it('has freed the lease before the caller closes the connection to the store', async () => {
    const { first, store, valve, done } = await setUp(1)
    valve.isOpen = false
    const failure = failureOf(first.getSessionToken('user'))
    await untilTrue(() => valve.waiting.length === 1)
    await first.close()
    expect(done('releaseLease')).toBe(1)
    expect((await failure).code).toBe('VKIT_CLOSED')
    await untilTrue(() => store.leases.length === 0)
  })

  it('has freed it at the end of a drain', async () => {
    const { first, valve, done } = await setUp(1)
    valve.isOpen = false
    const call = first.getSessionToken('user')
    await untilTrue(() => valve.waiting.length === 1)
    const closed = first.close({ drainMs: 60_000 })
    valve.open()
    await call
    await closed
    expect(done('releaseLease')).toBe(1)
  })
})
