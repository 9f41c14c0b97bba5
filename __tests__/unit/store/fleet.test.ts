import { describe, expect, it } from '@jest/globals'
import { Fleet, type FleetProcess } from '../../support/fleet.js'
import { untilTrue } from '../../support/until.js'

const HOUR_MS = 3_600_000

const received = (process: FleetProcess, count = 1): Promise<void> =>
  untilTrue(() => process.count('invalidation-received') === count)

/** Two warm processes; a mint of the second one is in flight, because it reloads. Responses are held. */
async function setUpInFlight(fleet = new Fleet()) {
  const { processes, token } = await fleet.startWarm(2)
  const [one, other] = processes as [FleetProcess, FleetProcess]
  const release = fleet.holdResponses()
  await fleet.clock.advance(0.7 * HOUR_MS)
  // Stale: it starts a refresh.
  await other.get()
  await untilTrue(() => fleet.mints === 2)
  return { fleet, one, other, release, token }
}

const COLD = { identity: 'cold-user', scopes: [] }

/** One process invalidates a user whose first mint is in flight in another. Returns the token that its caller gets. */
async function invalidateColdInFlight(fleet: Fleet, one: FleetProcess, other: FleetProcess): Promise<string> {
  const release = fleet.holdResponses()
  const waiting = other.get(COLD)
  await untilTrue(() => fleet.mints === 2)
  await one.cache.invalidate(COLD)
  await received(other)
  release()
  return waiting
}

describe('an invalidation in a fleet', () => {
  it('reaches every process, and the next token is minted once', async () => {
    const fleet = new Fleet()
    const { processes, token } = await fleet.startWarm(4)
    const [one, ...others] = processes
    await one?.invalidate()
    await Promise.all(others.map(other => received(other)))
    await fleet.settle()
    const tokens: string[] = []
    for (const process of processes) {
      tokens.push(await process.get())
      await process.sharedStore.flush()
    }
    expect(tokens).not.toContain(token)
    expect(new Set(tokens).size).toBe(1)
    expect(fleet.mints).toBe(2)
  })

  it('does not let a mint in flight elsewhere bring the old token back', async () => {
    const { fleet, one, other, release } = await setUpInFlight()
    await one.invalidate()
    await received(other)
    release()
    await fleet.settle()
    const tokens = await fleet.tokensOf([other, one, fleet.start()])
    expect(tokens).not.toContain('token-2')
    expect(other.cache.inFlight).toBe(0)
  })

  it('gives a caller who already waits the token of the mint in flight', async () => {
    const fleet = new Fleet()
    const { processes } = await fleet.startWarm(2)
    const [one, other] = processes as [FleetProcess, FleetProcess]
    expect(await invalidateColdInFlight(fleet, one, other)).toBe('token-2')
    await fleet.settle()
    for (const process of [other, one]) expect(await fleet.complete(process.get(COLD))).toBe('token-3')
  })

  it('does not let the next call wait for the mint in flight, whose token it cannot use', async () => {
    const fleet = new Fleet()
    const { processes } = await fleet.startWarm(2)
    const [one, other] = processes as [FleetProcess, FleetProcess]
    const release = fleet.holdResponses()
    const waiting = [one.get(COLD)]
    await untilTrue(() => fleet.mints === 2)
    await one.cache.invalidate(COLD)
    await received(other)
    waiting.push(other.get(COLD))
    await untilTrue(() => fleet.mints === 3)
    release()
    expect(await Promise.all(waiting)).toEqual(['token-2', 'token-3'])
  })

  it('lets refreshes go on', async () => {
    const { fleet, one, other, release } = await setUpInFlight()
    await one.invalidate()
    await received(other)
    release()
    await fleet.settle()
    const fresh = await other.get()
    await other.sharedStore.flush()
    await fleet.clock.advance(0.7 * HOUR_MS)
    const stale = await other.get()
    await untilTrue(() => other.count('refresh') === 2)
    await fleet.settle()
    await other.sharedStore.flush()
    expect(stale).toBe(fresh)
    expect(await other.get()).not.toBe(fresh)
  })

  it('does not concern a token that was minted later', async () => {
    const fleet = new Fleet()
    const { processes } = await fleet.startWarm(2)
    const [one, other] = processes as [FleetProcess, FleetProcess]
    await one.invalidate()
    await received(other)
    await fleet.settle()
    const fresh = await other.get()
    await other.sharedStore.flush()
    const [message] = fleet.store.messages
    await fleet.store.publish(message?.channel ?? '', message?.message ?? '')
    await fleet.settle()
    expect(await fleet.tokensOf([other, one])).toEqual([fresh, fresh])
    expect(other.count('invalidation-received')).toBe(1)
  })

  it('replayed to a process that never saw it concerns nothing that is more than 2 s newer', async () => {
    const fleet = new Fleet()
    const { processes } = await fleet.startWarm(1)
    await processes[0]?.invalidate()
    await fleet.clock.advance(2_001)
    const late = await fleet.startWarm(1)
    const [message] = fleet.store.messages
    await fleet.store.publish(message?.channel ?? '', message?.message ?? '')
    await fleet.settle()
    expect(await fleet.tokensOf(late.processes)).toEqual([late.token])
    expect(fleet.mints).toBe(2)
  })

  it('of one token concerns only that token, everywhere', async () => {
    const fleet = new Fleet()
    const { processes, token } = await fleet.startWarm(3)
    const [one, other, third] = processes as [FleetProcess, FleetProcess, FleetProcess]
    await one.invalidate('another')
    await Promise.all([received(other), received(third)])
    expect(await fleet.tokensOf(processes)).toEqual([token, token, token])
    await one.invalidate(token)
    await Promise.all([received(other, 2), received(third, 2)])
    await fleet.settle()
    expect([other, third].map(({ events }) => events.filter(({ type }) => type === 'invalidation-received'))).toEqual(
      Array(2).fill([
        { type: 'invalidation-received', evicted: false },
        { type: 'invalidation-received', evicted: true },
      ]),
    )
    const fresh = await one.get()
    await one.sharedStore.flush()
    expect(fresh).not.toBe(token)
    expect(await fleet.tokensOf(processes)).toEqual([fresh, fresh, fresh])
  })

  it('of one token does not end the refresh that is in flight elsewhere', async () => {
    const { fleet, one, other, release, token } = await setUpInFlight()
    await one.invalidate(token)
    await received(other)
    release()
    await fleet.settle()
    await other.sharedStore.flush()
    expect(await fleet.tokensOf([other, one])).toEqual(['token-2', 'token-2'])
  })

  it('by two processes at once leaves one new token', async () => {
    const fleet = new Fleet()
    const { processes, token } = await fleet.startWarm(3)
    await Promise.all(processes.slice(1).map(process => process.invalidate()))
    await untilTrue(() => (processes[0]?.count('invalidation-received') ?? 0) > 0)
    await fleet.settle()
    const fresh = await processes[0]?.get()
    await processes[0]?.sharedStore.flush()
    await fleet.settle()
    expect(fresh).not.toBe(token)
    expect(await fleet.tokensOf(processes)).toEqual([fresh, fresh, fresh])
    expect(fleet.mints).toBe(2)
  })

  it('twice within a second is heard twice', async () => {
    const fleet = new Fleet()
    const { processes } = await fleet.startWarm(2)
    const [one, other] = processes as [FleetProcess, FleetProcess]
    for (let round = 1; round <= 3; round++) {
      const before = await other.get()
      await other.sharedStore.flush()
      await one.invalidate()
      await received(other, round)
      await fleet.settle()
      expect(await other.get()).not.toBe(before)
      await other.sharedStore.flush()
    }
  })
})

it('an invalidation is later than one that its process never heard of, by a clock in the future', async () => {
  const fleet = new Fleet()
  const { processes } = await fleet.startWarm(1)
  const [one] = processes as [FleetProcess]
  await fleet.start({ aheadMs: 600_000 }).invalidate()
  await received(one)
  await fleet.settle()
  const before = await one.get()
  await one.sharedStore.flush()
  await fleet.start().invalidate()
  await received(one, 2)
  await fleet.settle()
  expect(await one.get()).not.toBe(before)
})

describe('an invalidation that the store does not accept', () => {
  it.each(['publish', 'delete'] as const)('because of %s is repeated within 5 s of its recovery', async operation => {
    const fleet = new Fleet()
    const { processes, token } = await fleet.startWarm(2)
    const [one, other] = processes as [FleetProcess, FleetProcess]
    fleet.store.failing.add(operation)
    await one.invalidate()
    await fleet.settle()
    fleet.store.failing.delete(operation)
    await fleet.clock.advance(5_000)
    await received(other)
    await fleet.settle()
    expect(await fleet.tokensOf([fleet.start(), other])).not.toContain(token)
    expect(fleet.mints).toBe(2)
  })

  it('is repeated as soon as the subscription is back', async () => {
    const fleet = new Fleet()
    const { processes, token } = await fleet.startWarm(2)
    const [one, other] = processes as [FleetProcess, FleetProcess]
    for (const operation of ['publish', 'delete', 'get', 'subscribe'] as const) fleet.store.failing.add(operation)
    fleet.store.loseSubscriptions()
    await one.invalidate()
    await fleet.clock.advance(3_000)
    // This process cannot know it.
    expect(await other.get()).toBe(token)
    fleet.store.failing.clear()
    await fleet.clock.advance(500)
    await untilTrue(() => fleet.store.messages.length > 0 && other.count('subscription-start') > 0)
    await fleet.settle()
    expect(await fleet.tokensOf([other, one])).not.toContain(token)
  })

  it('because the secret provider fails is repeated within 5 s of its recovery', async () => {
    const fleet = new Fleet()
    const { processes, token } = await fleet.startWarm(1)
    const secret = { fails: false }
    const read = (): string => {
      if (secret.fails) throw new Error('no secret')
      return 'secret'
    }
    const { processes: failing } = await fleet.startWarm(1, { secret: read })
    const [[other], [one]] = [processes, failing] as [[FleetProcess], [FleetProcess]]
    secret.fails = true
    await one.invalidate()
    secret.fails = false
    expect(fleet.store.messages).toEqual([])
    await fleet.clock.advance(5_000)
    await received(other)
    await fleet.settle()
    expect(await other.get()).not.toBe(token)
  })

  it('does not remove a token that is stored meanwhile', async () => {
    const fleet = new Fleet()
    const { processes } = await fleet.startWarm(2)
    const [one, other] = processes as [FleetProcess, FleetProcess]
    fleet.store.failing.add('publish')
    await one.invalidate()
    const fresh = await one.get()
    await one.sharedStore.flush()
    fleet.store.failing.clear()
    await fleet.clock.advance(5_000)
    await received(other)
    await fleet.settle()
    expect(await fleet.tokensOf([other, one])).toEqual([fresh, fresh])
    expect(fleet.mints).toBe(2)
  })

  it('of one token does not replace that of all tokens', async () => {
    const fleet = new Fleet()
    const { processes, token } = await fleet.startWarm(2)
    const [one, other] = processes as [FleetProcess, FleetProcess]
    fleet.store.failing.add('publish')
    await one.invalidate()
    await one.invalidate('another')
    fleet.store.failing.clear()
    await fleet.clock.advance(5_000)
    await received(other, 2)
    await fleet.settle()
    expect(await other.get()).not.toBe(token)
  })

  it('is sent to all at a limited rate', async () => {
    const fleet = new Fleet()
    const { processes } = await fleet.startWarm(2)
    const [one, other] = processes as [FleetProcess, FleetProcess]
    fleet.store.failing.add('publish')
    for (let user = 0; user < 250; user++) await one.cache.invalidate({ identity: `user-${user}`, scopes: [] })
    fleet.store.failing.clear()
    const counts: number[] = []
    for (let ping = 0; ping < 3; ping++) {
      await fleet.clock.advance(5_000)
      await fleet.settle()
      await untilTrue(() => other.count('invalidation-received') === fleet.store.messages.length)
      counts.push(fleet.store.messages.length)
    }
    expect(counts).toEqual([100, 200, 250])
    expect(other.count('subscription-loss')).toBe(0)
  }, 60_000)
})

describe('a reload in a fleet', () => {
  it('replaces the token of every process, and mints once', async () => {
    const fleet = new Fleet()
    const { processes } = await fleet.startWarm(3)
    const [one, ...others] = processes
    const fresh = await one?.get({ mode: 'reload' })
    await one?.sharedStore.flush()
    await Promise.all(others.map(other => received(other)))
    expect(await fleet.tokensOf(processes)).toEqual([fresh, fresh, fresh])
    expect(fleet.mints).toBe(2)
  })

  it('reaches every process, even as the first call of a process', async () => {
    const fleet = new Fleet()
    const { processes } = await fleet.startWarm(1)
    const cold = fleet.start()
    const fresh = await cold.get({ mode: 'reload' })
    await cold.sharedStore.flush()
    await Promise.all(processes.map(process => received(process)))
    expect(await fleet.tokensOf(processes)).toEqual([fresh])
  })

  it('twice within a second mints twice, and is sent at once and within 5 s', async () => {
    const fleet = new Fleet()
    const { processes } = await fleet.startWarm(2)
    const [one, other] = processes as [FleetProcess, FleetProcess]
    const reload = async (): Promise<number> => {
      await one.get({ mode: 'reload' })
      await one.sharedStore.flush()
      return fleet.store.messages.length
    }
    await fleet.clock.advance(1_000)
    for (let call = 0; call < 2; call++) {
      await reload()
      await fleet.clock.advance(10)
    }
    expect(fleet.mints).toBe(3)
    expect(fleet.store.messages).toHaveLength(1)
    await fleet.clock.advance(5_000)
    await untilTrue(() => fleet.store.messages.length === 2)
    await received(other, 2)
    expect(await fleet.tokensOf([other, one])).toEqual(['token-3', 'token-3'])
    expect(await reload()).toBe(3)
    await fleet.clock.advance(1_000)
    expect(await reload()).toBe(4)
    await fleet.clock.advance(5_000)
    await fleet.settle()
    expect(fleet.store.messages).toHaveLength(4)
  })

  it('reaches every process, although one with a clock in the future has invalidated the token', async () => {
    const fleet = new Fleet()
    const { processes } = await fleet.startWarm(1)
    const ahead = fleet.start({ aheadMs: 300_000 })
    const [one] = processes as [FleetProcess]
    await fleet.warm([ahead], 'user')
    await ahead.invalidate()
    await received(one)
    await fleet.settle()
    await fleet.tokensOf([ahead, one])
    const fresh = await one.get({ mode: 'reload' })
    await received(ahead)
    await fleet.settle()
    expect(await fleet.tokensOf([ahead])).toEqual([fresh])
  })

  it('that the store does not accept is sent within 5 s of its recovery', async () => {
    const fleet = new Fleet()
    const { processes } = await fleet.startWarm(2)
    const [one, other] = processes as [FleetProcess, FleetProcess]
    fleet.store.failing.add('publish')
    const fresh = await one.get({ mode: 'reload' })
    await one.sharedStore.flush()
    fleet.store.failing.clear()
    await fleet.clock.advance(5_000)
    await received(other)
    await fleet.settle()
    expect(await fleet.tokensOf([other, one])).toEqual([fresh, fresh])
  })

  it('replaces every token from before it, although one of them arrives while it is in flight', async () => {
    const fleet = new Fleet()
    const { processes } = await fleet.startWarm(2)
    const [one, other] = processes as [FleetProcess, FleetProcess]
    const [releaseFirst, first] = [fleet.holdResponses(), one.get({ mode: 'reload' })]
    await untilTrue(() => fleet.mints === 2)
    const [releaseSecond, second] = [fleet.holdResponses(), other.get({ mode: 'reload' })]
    await untilTrue(() => fleet.mints === 3)
    releaseFirst()
    await first
    await received(other)
    releaseSecond()
    expect(await second).toBe('token-3')
    await received(one)
    await fleet.settle()
    expect(await fleet.tokensOf([one, other])).toEqual(['token-4', 'token-4'])
  })

  it('does not let a mint in flight elsewhere bring the old token back', async () => {
    const { fleet, one, other, release } = await setUpInFlight()
    const reloaded = one.get({ mode: 'reload' })
    await untilTrue(() => fleet.mints === 3)
    release()
    const fresh = await reloaded
    await one.sharedStore.flush()
    await fleet.settle()
    expect(fresh).toBe('token-3')
    expect(await fleet.start().get()).toBe(fresh)
    expect(await other.get()).toBe(fresh)
  })
})

describe.each([
  ['an hour', HOUR_MS, 'with', true],
  // The client believes its own clock then, so tokens must not look expired.
  ['10 minutes', 600_000, 'without', false],
])('with clocks %s (%d ms) apart, and a gateway %s a Date', (_, apartMs, _with, hasDate) => {
  const offsets = [0, apartMs, -apartMs]
  const pairs = offsets.flatMap(from => offsets.map((to): [number, number] => [from, to]))

  it.each(pairs)('invalidate: from a process %d ms ahead to one %d ms ahead', async (from, to) => {
    const fleet = new Fleet()
    fleet.hasDate = hasDate
    const one = await fleet.startWarm(1, { aheadMs: from })
    const other = await fleet.startWarm(1, { aheadMs: to })
    const [[sender], [receiver]] = [one.processes, other.processes] as [[FleetProcess], [FleetProcess]]
    await fleet.clock.advance(10_000)
    await sender.invalidate()
    await received(receiver)
    await fleet.settle()
    expect(await receiver.get()).not.toBe(other.token)
  })

  it.each(offsets)('invalidate, from a process %d ms ahead that never minted', async aheadMs => {
    const fleet = new Fleet()
    fleet.hasDate = hasDate
    const { processes, token } = await fleet.startWarm(2)
    await fleet.clock.advance(10_000)
    await fleet.start({ aheadMs }).invalidate()
    for (const process of processes) await received(process)
    await fleet.settle()
    expect(await fleet.tokensOf(processes)).not.toContain(token)
  })

  it.each(offsets)(
    'does not disable later invalidations: from a process %d ms ahead that never minted',
    async aheadMs => {
      const fleet = new Fleet()
      fleet.hasDate = hasDate
      const { processes } = await fleet.startWarm(2)
      const [one, other] = processes as [FleetProcess, FleetProcess]
      await fleet.clock.advance(10_000)
      await fleet.start({ aheadMs }).invalidate()
      await Promise.all([received(one), received(other)])
      await fleet.settle()
      const before = await other.get()
      await other.sharedStore.flush()
      expect(await one.get()).toBe(before)
      await fleet.clock.advance(10_000)
      await one.invalidate()
      await received(other, 2)
      await fleet.settle()
      expect(await other.get()).not.toBe(before)
    },
  )

  // With a clock that is behind, no record can be used, so a process soon mints.
  it.each([0, 3_000, 600_000])('forgets a mint in flight in a process %d ms ahead that never minted', async aheadMs => {
    const fleet = new Fleet()
    fleet.hasDate = hasDate
    const { processes } = await fleet.startWarm(2)
    const [one] = processes as [FleetProcess]
    const cold = fleet.start({ aheadMs })
    await cold.get()
    await untilTrue(() => cold.count('subscription-start') === 1)
    expect(await invalidateColdInFlight(fleet, one, cold)).toBe('token-2')
    await fleet.settle()
    for (const process of [cold, fleet.start({ aheadMs })]) {
      expect(await fleet.complete(process.get(COLD))).toBe('token-3')
      await cold.sharedStore.flush()
    }
  })
})

it('whole seconds of a Date do not hide that a token is older', async () => {
  for (let ms = 0; ms < 1_000; ms += 111) {
    const fleet = new Fleet()
    await fleet.clock.advance(ms)
    const one = await fleet.startWarm(1, { aheadMs: 5_000 })
    const other = await fleet.startWarm(1)
    await fleet.clock.advance(1)
    await other.processes[0]?.invalidate()
    const [receiver] = one.processes as [FleetProcess]
    await received(receiver)
    await fleet.settle()
    expect(await receiver.get()).not.toBe(one.token)
  }
})

describe('a secret rotation', () => {
  it('reaches processes that have not rotated, and that have', async () => {
    const fleet = new Fleet()
    let secret = 'old'
    const rotating = await fleet.startWarm(2, { secret: () => secret })
    const old = await fleet.startWarm(1, { secret: () => 'old' })
    secret = 'new'
    const [one, other] = rotating.processes as [FleetProcess, FleetProcess]
    for (const process of [one, other]) await fleet.complete(process.get(COLD))
    await untilTrue(() => one.count('subscription-start') + other.count('subscription-start') === 2)
    const before = await fleet.tokensOf([one, other, ...old.processes])
    await Promise.all([one, other].map(process => process.sharedStore.flush()))
    await one.invalidate()
    await Promise.all(
      [other, ...old.processes].map(process => untilTrue(() => process.count('invalidation-received') > 0)),
    )
    await fleet.settle()
    const after = await fleet.tokensOf([one, other, ...old.processes])
    expect(after.filter(token => before.includes(token))).toEqual([])
  })
})
