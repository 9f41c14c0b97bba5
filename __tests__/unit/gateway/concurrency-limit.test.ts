import { describe, expect, it } from '@jest/globals'
import { ConcurrencyLimit, type EndedAttempt } from '../../../lib/gateway/concurrency-limit.js'

const TIMEOUT_MS = 10_000

function setUp({ timeoutMs = TIMEOUT_MS } = {}) {
  const limit = new ConcurrencyLimit(timeoutMs)
  limit.cap(1_000)
  let now = 0
  /** Sends `count` attempts now, which end together. Other attempts wait unless `hasQueue` is false. */
  const end = (result: EndedAttempt['result'], count = 10, { ms = 50, hasQueue = true } = {}): number => {
    const sentAt = now
    now += ms
    for (let attempt = 1; attempt <= count; attempt++) limit.record({ result, sentAt, endedAt: now, hasQueue })
    return limit.value
  }
  /** Serves as many attempts at a time as the limit allows, for `seconds`. Returns the limits over that time. */
  const serve = (seconds: number, latencyOf: (inFlight: number) => number): number[] => {
    const limits = [limit.value]
    for (const until = now + seconds * 1_000; now < until;) {
      const value = end('success', limit.value, { ms: latencyOf(limit.value) })
      if (value !== limits.at(-1)) limits.push(value)
    }
    return limits
  }
  const pass = (ms: number): void => void (now += ms)
  /** Ends `count` attempts now that took `ms`, while others wait. */
  const endNow = (result: EndedAttempt['result'], count: number, ms = 100): number => {
    for (let attempt = 1; attempt <= count; attempt++) {
      limit.record({ result, sentAt: now - ms, endedAt: now, hasQueue: true })
    }
    return limit.value
  }
  return { limit, end, endNow, serve, pass }
}

/** After a doubling that did not pay off, when a smaller step follows. Responses took 100 ms. */
function setUpSmallStep() {
  const all = setUp()
  all.pass(1_000)
  expect(all.endNow('success', 25)).toBe(100)
  all.pass(1_000)
  expect(all.endNow('success', 50, 200)).toBe(50)
  all.pass(1_000)
  return all
}

/** The latency of a gateway that serves `max` attempts at a time in 100 ms each. More attempts share its capacity. */
const capacity =
  (max: number) =>
  (inFlight: number): number =>
    100 * Math.max(1, inFlight / max)

describe('the concurrency limit', () => {
  it('starts at 50, and does not change while no call waits', () => {
    const { limit, end } = setUp()
    expect(limit.value).toBe(50)
    expect(end('success', 1_000, { hasQueue: false })).toBe(50)
  })

  it.each([20, 3_000])('doubles while throughput grows, with responses of %d ms', ms => {
    const { limit, serve } = setUp()
    limit.cap(400)
    expect(serve(ms / 100, () => ms)).toEqual([50, 100, 200, 400])
  })

  it('doubles again when the gateway becomes slow, however fast it was before', () => {
    const { limit, end, serve } = setUp()
    limit.cap(400)
    end('success', 1_000, { ms: 10, hasQueue: false })
    expect(serve(20, () => 2_000)).toEqual([50, 100, 200, 400])
  })

  it.each([
    [1.42, [50, 100, 200]],
    [1.44, [50, 100, 50]],
  ])('keeps a doubling only if throughput grows by 40 %%: latency times %d', (factor, expected) => {
    const { limit, serve } = setUp()
    limit.cap(200)
    const limits = serve(4, inFlight => (inFlight > 50 ? 100 * factor : 100))
    expect(limits.slice(0, 3)).toEqual(expected)
  })

  it('probes a smaller step up 1 s after a doubling that did not pay off, then a step down, and later every 5 s', () => {
    const { serve } = setUp()
    expect(serve(0.9, capacity(50))).toEqual([50, 100, 50])
    expect(serve(4.5, capacity(50))).toEqual([50, 62, 50, 40, 50])
    serve(5, capacity(50))
    expect(serve(10, capacity(50))).toHaveLength(5)
  })

  it.each([30, 60, 200])('settles near the concurrency that the gateway can serve: %d', max => {
    const { limit, serve } = setUp()
    limit.cap(400)
    serve(60, capacity(max))
    const limits = serve(30, capacity(max)).slice(1)
    expect(Math.max(limit.value, ...limits)).toBeLessThanOrEqual(2 * max)
    expect(Math.min(limit.value, ...limits)).toBeGreaterThanOrEqual(0.75 * max)
  })

  it('follows a capacity that shrinks and grows', () => {
    const { limit, serve } = setUp()
    limit.cap(400)
    serve(30, capacity(180))
    expect(limit.value).toBeGreaterThanOrEqual(150)
    serve(40, capacity(60))
    expect(limit.value).toBeLessThanOrEqual(120)
    serve(60, capacity(180))
    expect(limit.value).toBeGreaterThanOrEqual(150)
  })

  it('recovers from its minimum', () => {
    const { limit, end, serve } = setUp()
    limit.cap(400)
    for (let round = 1; round <= 50; round++) end('rate-limited')
    serve(30, () => 100)
    expect(limit.value).toBe(400)
  })
})

describe('a step of the concurrency limit', () => {
  it('doubles after half as many successes as the limit, counted from one latency after the last step', () => {
    const { endNow, pass } = setUp()
    pass(1_000)
    expect([24, 1].map(count => endNow('success', count, 50))).toEqual([50, 100])
    pass(49)
    expect(endNow('success', 100, 50)).toBe(100)
    pass(1)
    expect([49, 1].map(count => endNow('success', count, 50))).toEqual([100, 200])
  })

  it('is smaller after twice as many, counted from two latencies after the last step', () => {
    const { endNow, pass } = setUpSmallStep()
    expect([99, 1].map(count => endNow('success', count))).toEqual([50, 62])
    pass(199)
    expect(endNow('success', 1_000)).toBe(62)
    pass(2)
    expect([124, 1].map(count => endNow('success', count))).toEqual([62, 125])
  })

  it.each([
    [113, [62, 125]],
    [114, [62, 50]],
  ])('up by a quarter is kept, and doubled, only if throughput grows by 10 %%: %d ms', (ms, limits) => {
    const { endNow, pass } = setUpSmallStep()
    const first = endNow('success', 100)
    pass(1_000)
    expect([first, endNow('success', 125, ms)]).toEqual(limits)
  })

  it.each([
    [82, [40, 40, 32]],
    [83, [40, 50, 50]],
  ])('down is kept, and repeated after 1 s, only if throughput falls by at most 3 %%: %d ms', (ms, limits) => {
    const { endNow, pass } = setUpSmallStep()
    endNow('success', 100)
    pass(1_000)
    expect(endNow('success', 125, 200)).toBe(50)
    pass(2_000)
    const first = endNow('success', 100)
    pass(1_000)
    const second = endNow('success', 80, ms)
    pass(999)
    expect(endNow('success', 100)).toBe(second)
    pass(1)
    expect([first, second, endNow('success', 100)]).toEqual(limits)
  })

  it('that does not pay off is followed by the opposite one after 1 s, then 2 s, 4 s, and always 5 s', () => {
    const { endNow, pass } = setUpSmallStep()
    pass(-1_000)
    for (const [holdMs, next] of [
      [1_000, 62],
      [2_000, 40],
      [4_000, 62],
      [5_000, 40],
      [5_000, 62],
    ] as const) {
      pass(holdMs - 1)
      expect(endNow('success', 100)).toBe(50)
      pass(1)
      expect(endNow('success', 100)).toBe(next)
      pass(1_000)
      expect(endNow('success', 200, 300)).toBe(50)
    }
  })

  it('never goes down from the minimum, but up again', () => {
    const { end, serve } = setUp()
    for (let round = 1; round <= 5; round++) end('rate-limited')
    expect(serve(30, capacity(10)).slice(0, 7)).toEqual([10, 20, 10, 12, 10, 12, 10])
  })
})

describe('the concurrency limit under load', () => {
  it('shrinks by a third, once per group of attempts sent together, if most get a 429', () => {
    expect(setUp().end('rate-limited', 50)).toBe(33)
  })

  it('shrinks again after as many further 429s', () => {
    const { end } = setUp()
    expect([7, 6, 1].map(count => end('rate-limited', count))).toEqual([33, 33, 22])
  })

  it('grows again 5 s after it shrank, by doubling', () => {
    const { endNow, pass } = setUp()
    expect(endNow('rate-limited', 7, 0)).toBe(33)
    pass(4_999)
    expect(endNow('success', 34)).toBe(33)
    pass(1)
    expect(endNow('success', 17)).toBe(67)
  })

  it('does not shrink while most attempts succeed', () => {
    const { limit, end } = setUp()
    for (let round = 1; round <= 50; round++) {
      end('rate-limited', 1)
      end('success', 2, { hasQueue: false })
    }
    expect(limit.value).toBe(50)
  })

  it.each(['refusal', 'failure', 'cut-off', 'unknown'] as const)('neither shrinks nor grows after a %s', result => {
    expect(setUp().end(result, 1_000)).toBe(50)
  })

  it('never falls below 10', () => {
    const { limit, end } = setUp()
    for (let round = 1; round <= 50; round++) end('rate-limited')
    expect(limit.value).toBe(10)
  })

  it.each([
    [TIMEOUT_MS, 50],
    [TIMEOUT_MS + 1, 33],
  ])('counts timeouts as load if nothing has succeeded for more than timeoutMs: %d ms', (ms, value) => {
    const { end } = setUp()
    end('success', 1, { hasQueue: false })
    expect(end('timeout', 10, { ms, hasQueue: false })).toBe(value)
  })

  it.each([
    [200, 50],
    [199, 33],
  ])(
    'counts timeouts as load if successes of 50 ms take more than a quarter of timeoutMs: %d ms',
    (timeoutMs, value) => {
      const { end } = setUp({ timeoutMs })
      end('success', 50, { hasQueue: false })
      expect(end('timeout', 10, { hasQueue: false })).toBe(value)
    },
  )
})

describe('the concurrency limit while the mints of some users hang', () => {
  it('grows by a quarter after a timeout while calls wait, once for timeouts that end together', () => {
    const { end } = setUp()
    end('success', 1, { hasQueue: false })
    expect(end('timeout', 5)).toBe(62)
  })

  it('grows again after timeouts that end more than one latency later', () => {
    const { end, pass } = setUp()
    end('success', 1, { hasQueue: false })
    end('timeout', 1)
    pass(50)
    expect(end('timeout', 1, { ms: 0 })).toBe(62)
    pass(1)
    expect(end('timeout', 1, { ms: 0 })).toBe(78)
  })

  it('does not grow while no call waits', () => {
    const { end } = setUp()
    end('success', 1, { hasQueue: false })
    expect(end('timeout', 5, { hasQueue: false })).toBe(50)
  })
})

describe('the cap of the concurrency limit', () => {
  it.each([400, 60, 5])('is never exceeded: %d', max => {
    const { limit, serve } = setUp()
    limit.cap(max)
    serve(10, () => 50)
    expect(limit.value).toBe(max)
  })

  it('lowers the limit when it is lowered, and does not raise it when it is raised', () => {
    const { limit } = setUp()
    limit.cap(20)
    expect(limit.value).toBe(20)
    limit.cap(400)
    expect(limit.value).toBe(20)
  })

  it('does not delay growth after it is raised, although the gateway became slower meanwhile', () => {
    const { limit, end, serve } = setUp()
    limit.cap(50)
    serve(10, () => 50)
    serve(10, () => 100)
    limit.cap(400)
    expect(end('success', 25)).toBe(100)
  })
})
