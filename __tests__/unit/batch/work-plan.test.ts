import { describe, expect, it } from '@jest/globals'
import { IdentitySource } from '../../../lib/batch/identity-source.js'
import { WorkPlan, type WorkPlanOptions } from '../../../lib/batch/work-plan.js'
import { newWork, type Work } from '../../../lib/batch/work-queue.js'
import { VKitRateLimitError, VKitServerError } from '../../../lib/core/errors.js'
import type { RefusedBy, VKitError } from '../../../lib/core/vkit-error.js'
import { FakeClock } from '../../../lib/testing/index.js'

const down = new VKitServerError('down', { attempts: 3 })
const limited = new VKitRateLimitError('later', { attempts: 1 })
const downFor = (retryAfterMs: number, attempts = 3, refusedBy?: RefusedBy): VKitServerError =>
  new VKitServerError('down', { attempts, retryAfterMs, refusedBy })
const listOf = (length: number): string[] => Array.from({ length }, (_, i) => `user-${i}`)

function setUp(identities: Iterable<string>, options: Partial<WorkPlanOptions> = {}) {
  const clock = new FakeClock()
  let [responses, pulled] = [0, 0]
  const source = new IdentitySource(identities, {
    onIdentity: identity => {
      pulled++
      plan.add(newWork(identity))
    },
    onChange: () => undefined,
  })
  const plan = new WorkPlan(
    { concurrency: 4, onOutage: 'wait', maxOutageMs: 60_000, responses: () => responses, clock, ...options },
    source,
  )
  /** Starts at most `most` mints. */
  const take = (most: number, max = 100): Work[] => {
    const works: Work[] = []
    for (let work; works.length < most && (work = plan.next({ inFlight: 0, max }));) works.push(work)
    return works
  }
  return {
    clock,
    plan,
    take,
    takeOne: (): Work => take(1)[0] ?? newWork('none'),
    identities: (most: number): string[] => take(most).map(({ identity }) => identity),
    pulled: () => pulled,
    succeed: (work: Work): void => {
      responses++
      plan.succeed(work)
    },
    fail: (works: readonly Work[], error: VKitError = down): void => {
      for (const work of works) plan.fail(work, error)
    },
  }
}

/** A run in which `good` has its token, and the mint of `bad` fails at the end of the list. */
function setUpReference(error?: VKitError) {
  const world = setUp(['good', 'bad'])
  const [good, bad] = [world.takeOne(), world.takeOne()]
  world.succeed(good)
  world.fail([bad], error)
  return { ...world, bad }
}

describe('a plan', () => {
  it('reads the list when it needs an identity, and knows when it ends', () => {
    const { identities, pulled } = setUp(['a', 'b', 'c'])
    expect([identities(1), pulled()]).toEqual([['a'], 1])
    expect([identities(9), pulled()]).toEqual([['b', 'c'], 3])
  })

  it('mints again first what failed, then the list, then what was told 429', () => {
    const { plan, take, identities, succeed, fail } = setUp(['a', 'b', 'c', 'd'])
    const [a, b, c] = take(3) as [Work, Work, Work]
    fail([a])
    fail([b], limited)
    succeed(c)
    expect([plan.takeRejected(), plan.size]).toEqual([[], 2])
    expect(identities(9)).toEqual(['a', 'd', 'b'])
    expect(plan.size).toBe(0)
  })

  it.each([
    ['a quarter of the mints in flight', 1_000, 16, 4],
    ['at least one mint', 1_000, 2, 1],
    ['at most 24 mints', 1_000, 400, 24],
    ['all mints at the end of the list', 42, 16, 16],
    ['at most 24 mints at the end of the list', 42, 400, 24],
  ])('gives %s to identities that failed', (_, length, max, most) => {
    const { plan, take, succeed, fail } = setUp(listOf(length))
    const [first, ...others] = take(43) as [Work, ...Work[]]
    fail(others)
    succeed(first)
    plan.takeRejected()
    expect(take(30, max).filter(({ error }) => error)).toHaveLength(most)
  })

  it.each<[string, (world: ReturnType<typeof setUp>, work: Work) => void]>([
    ['succeeds', ({ succeed }, work) => succeed(work)],
    ['fails', ({ fail }, work) => fail([work])],
    ['ends', ({ plan }, work) => plan.end(work)],
    ['is not needed', ({ plan }, work) => plan.release(work)],
  ])('gives the place of an identity that failed to another when its mint %s', (_, end) => {
    const world = setUp(listOf(1_000))
    const [first, ...others] = world.take(4) as [Work, ...Work[]]
    world.fail(others)
    world.succeed(first)
    world.plan.takeRejected()
    const [suspect, fresh] = world.take(2, 2) as [Work, Work]
    expect([suspect.error, fresh.error]).toEqual([down, undefined])
    end(world, suspect)
    expect(world.take(1, 2)[0]?.error).toBe(down)
  })

  it.each([
    [4, 1_001],
    [2_000, 2_001],
  ])('reads no more while too many identities wait, with a concurrency of %i', (concurrency, most) => {
    const { takeOne, fail, pulled } = setUp(listOf(5_000), { concurrency })
    const error = new VKitRateLimitError('later', { attempts: 1, retryAfterMs: 30_000 })
    for (let i = 0; i < 3_000; i++) {
      const work = takeOne()
      if (work.identity !== 'none') fail([work], error)
    }
    expect(pulled()).toBe(most)
  })

  it('drains all that waits, and retries nothing afterwards', () => {
    const { plan, take, succeed, fail } = setUp(listOf(9))
    const [a, b, c] = take(3) as [Work, Work, Work]
    plan.add(newWork('fresh'))
    fail([a])
    succeed(b)
    plan.takeRejected()
    fail([c])
    expect(plan.mayRetry).toBe(true)
    expect(plan.drain().map(({ identity }) => identity)).toEqual(['fresh', 'user-0', 'user-2'])
    expect([plan.mayRetry, plan.size]).toEqual([false, 0])
  })
})

describe('a failure at the end of a list', () => {
  it("is the identity's own after five tries, each followed by the success of a reference", () => {
    const { plan, takeOne, take, succeed, fail, bad } = setUpReference()
    for (let tries = 1; ; tries++) {
      const reference = takeOne()
      expect(reference).toMatchObject({ identity: 'good', isReference: true })
      expect(take(1)).toEqual([])
      succeed(reference)
      const rejected = plan.takeRejected()
      if (tries === 5) return expect(rejected).toEqual([bad])
      expect(rejected).toEqual([])
      expect(takeOne()).toBe(bad)
      fail([bad])
    }
  })

  it("is never the identity's own if nothing was sent", () => {
    const { plan, takeOne, succeed, fail, bad } = setUpReference(downFor(0, 0))
    for (let tries = 0; tries < 9; tries++) {
      succeed(takeOne())
      expect(plan.takeRejected()).toEqual([])
      expect(takeOne()).toBe(bad)
      fail([bad], downFor(0, 0))
    }
  })

  it('is not confirmed by a success before it', () => {
    const { plan, take, takeOne, succeed, fail } = setUp(['a', 'b', 'c'])
    const [a, b, c] = take(3) as [Work, Work, Work]
    fail([a])
    succeed(b)
    fail([c])
    plan.takeRejected()
    expect([takeOne().identity, takeOne()]).toMatchObject(['a', { identity: 'b', isReference: true }])
  })

  it('needs no reference before its Retry-After is over', async () => {
    const { clock, takeOne } = setUpReference(downFor(2_000))
    await clock.advance(1_999)
    expect(takeOne().identity).toBe('none')
    await clock.advance(1)
    expect(takeOne()).toMatchObject({ identity: 'good', isReference: true })
  })

  it('has other references if one fails, and none that has to wait', async () => {
    const { clock, plan, takeOne, fail, bad } = setUpReference()
    fail([takeOne()], downFor(1_000))
    expect(takeOne()).toBe(bad)
    fail([bad])
    expect(plan.size).toBe(1)
    await clock.advance(1_000)
    expect(takeOne()).toMatchObject({ identity: 'good', isReference: true })
  })

  it.each<[string, (world: ReturnType<typeof setUp>, reference: Work) => void]>([
    ['ends', ({ plan }, work) => plan.end(work)],
    ['is not needed', ({ plan }, work) => plan.release(work)],
  ])('is followed by another try if the reference %s', (_, end) => {
    const world = setUpReference()
    end(world, world.takeOne())
    expect(world.takeOne()).toBe(world.bad)
  })

  it('is followed by another try if no identity has succeeded', () => {
    const { takeOne, take, fail } = setUp(['a'])
    const a = takeOne()
    fail([a])
    expect(take(9)).toEqual([a])
  })
})

describe('an identity that failed', () => {
  it.each([
    ['waits for its Retry-After', downFor(2_000), 3_000],
    ['waits until the client admits it', downFor(2_000, 0, 'key'), 3_000],
    ['need not wait because of an open circuit', downFor(2_000, 0, 'circuit'), 0],
    ['need not wait because of an overload', downFor(2_000, 0, 'overload'), 0],
    ['need not wait without a hint', down, 1_000],
  ])('%s', async (_, error, readyAt) => {
    const { clock, plan, takeOne, fail } = setUp(['a'])
    expect(plan.readyAt).toBe(Infinity)
    await clock.advance(1_000)
    const a = takeOne()
    fail([a], error)
    expect(plan.readyAt).toBe(readyAt)
    const waitMs = Math.max(plan.pauseMs(), readyAt - 1_000, 0)
    if (waitMs > 0) {
      await clock.advance(waitMs - 1)
      expect(takeOne().identity).toBe('none')
      await clock.advance(1)
    }
    expect(takeOne()).toBe(a)
  })

  it('is rejected if it would have to wait longer than maxOutageMs', () => {
    const { plan, take, fail } = setUp(['a', 'b'])
    const [a, b] = take(2) as [Work, Work]
    fail([a], downFor(60_000))
    fail([b], downFor(60_001))
    expect(plan.takeRejected()).toEqual([b])
    expect(plan.takeRejected()).toEqual([])
  })

  it('is rejected when an outage has lasted longer than maxOutageMs', async () => {
    const { clock, plan, take, succeed, fail } = setUp(listOf(4))
    const [a, b, c] = take(3) as [Work, Work, Work]
    fail([a])
    succeed(b)
    plan.takeRejected()
    fail([c])
    await clock.advance(60_000)
    expect(plan.takeRejected()).toEqual([])
    await clock.advance(1)
    expect(plan.takeRejected()).toEqual([a, c])
  })

  it('says something about the rate only if many identities are told 429', () => {
    const { plan, takeOne, take, succeed, fail } = setUp(listOf(100))
    const first = takeOne()
    expect(plan.showsRate(first)).toBe(true)
    for (let tries = 0; tries < 9; tries++) fail([first], limited)
    expect(plan.showsRate(first)).toBe(false)
    fail(take(2))
    expect(plan.showsRate(first)).toBe(false)
    fail(take(2), limited)
    expect(plan.showsRate(first)).toBe(true)
    for (const work of take(20)) succeed(work)
    expect(plan.showsRate(first)).toBe(false)
  })
})

describe('a plan in an outage', () => {
  /** Eight identities fail after one has succeeded. */
  function setUpOutage(length: number) {
    const world = setUp(listOf(length))
    const [first, ...others] = world.take(9) as [Work, ...Work[]]
    world.succeed(first)
    world.fail(others)
    return world
  }

  it('has one mint in flight, first of an identity that has succeeded', () => {
    const { plan, takeOne } = setUpOutage(1_000)
    expect(plan.next({ inFlight: 1, max: 100 })).toBeUndefined()
    expect(takeOne()).toMatchObject({ identity: 'user-0', isReference: true })
  })

  it('skips more of the list with each probe, because neighbours may fail for the same reason', () => {
    const { takeOne, fail, pulled } = setUpOutage(1_000)
    fail([takeOne()], downFor(50_000))
    const probe = (): [string, number] => {
      const work = takeOne()
      fail([work])
      return [work.identity, pulled()]
    }
    expect(probe()).toEqual(['user-9', 10])
    expect(probe()).toEqual(['user-12', 13])
    expect(probe()).toEqual(['user-27', 28])
    expect(probe()).toEqual(['user-90', 91])
  })

  it('tries those that failed at the end of the list', async () => {
    const { clock, takeOne, fail } = setUpOutage(9)
    fail([takeOne()], downFor(50_000))
    for (let i = 1; i <= 8; i++) {
      const work = takeOne()
      expect(work.identity).toBe(`user-${i}`)
      fail([work], downFor(50_000))
    }
    expect(takeOne().identity).toBe('none')
    await clock.advance(50_000)
    expect(takeOne()).toMatchObject({ identity: 'user-0', isReference: true })
  })
})
