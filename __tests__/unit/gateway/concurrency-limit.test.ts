import { describe, expect, it } from '@jest/globals'
import { ConcurrencyLimit, type EndedAttempt } from '../../../lib/gateway/concurrency-limit.js'

const TIMEOUT_MS = 10_000

function setUp() {
  const limit = new ConcurrencyLimit(TIMEOUT_MS)
  limit.cap(1_000)
  let now = 0
  /** `count` attempts that are sent now and end together, while others wait unless `hasQueue` is false. */
  const end = (result: EndedAttempt['result'], count = 10, { ms = 50, hasQueue = true } = {}): number => {
    const sentAt = now
    now += ms
    for (let attempt = 1; attempt <= count; attempt++) limit.record({ result, sentAt, endedAt: now, hasQueue })
    return limit.value
  }
  /** As many successes at a time as the limit allows, for so many seconds. Returns the limits that there were. */
  const serve = (seconds: number, latencyOf: (inFlight: number) => number): number[] => {
    const limits = [limit.value]
    for (const until = now + seconds * 1_000; now < until;) {
      const value = end('success', limit.value, { ms: latencyOf(limit.value) })
      if (value !== limits.at(-1)) limits.push(value)
    }
    return limits
  }
  const pass = (ms: number): void => void (now += ms)
  return { limit, end, serve, pass }
}

/** A gateway that serves so many at once in 100 ms; more of them share it. */
const capacity =
  (most: number) =>
  (inFlight: number): number =>
    100 * Math.max(1, inFlight / most)

describe('the concurrency limit', () => {
  it('is 50 at first, and stays there while no call waits', () => {
    const { limit, end } = setUp()
    expect(limit.value).toBe(50)
    expect(end('success', 1_000, { hasQueue: false })).toBe(50)
  })

  it.each([20, 3_000])('doubles as long as that brings throughput, with responses of %d ms', ms => {
    const { limit, serve } = setUp()
    limit.cap(400)
    expect(serve(60, () => ms)).toEqual([50, 100, 200, 400])
  })

  it('doubles again when the gateway becomes slow, however fast it has been', () => {
    const { limit, end, serve } = setUp()
    limit.cap(400)
    end('success', 1_000, { ms: 10, hasQueue: false })
    expect(serve(60, () => 2_000)).toEqual([50, 100, 200, 400])
  })

  it.each([
    [1.42, 50],
    [1.44, 100],
  ])('keeps a doubling that brings 40 %% more, and no other: latency times %d', (factor, kept) => {
    const { limit, serve } = setUp()
    limit.cap(200)
    const limits = serve(4, inFlight => (inFlight > 50 ? 100 * factor : 100))
    expect(limits).toEqual(kept === 50 ? [50, 100, 200] : [50, 100, 50])
  })

  it('tries a doubling that did not pay again after 5 s, smaller, and then a step down', () => {
    const { serve } = setUp()
    expect(serve(4.9, capacity(50))).toEqual([50, 100, 50])
    expect(serve(11, capacity(50))).toEqual([50, 62, 50, 40, 50])
  })

  it.each([30, 60, 200])('settles near what the gateway can do at once: %d', most => {
    const { limit, serve } = setUp()
    limit.cap(400)
    serve(60, capacity(most))
    const limits = serve(30, capacity(most)).slice(1)
    expect(Math.max(limit.value, ...limits)).toBeLessThanOrEqual(2 * most)
    expect(Math.min(limit.value, ...limits)).toBeGreaterThanOrEqual(0.75 * most)
  })

  it('finds a capacity that has shrunk, and one that has grown', () => {
    const { limit, serve } = setUp()
    limit.cap(400)
    serve(30, capacity(180))
    expect(limit.value).toBeGreaterThanOrEqual(150)
    serve(40, capacity(60))
    expect(limit.value).toBeLessThanOrEqual(120)
    serve(60, capacity(180))
    expect(limit.value).toBeGreaterThanOrEqual(150)
  })

  it('finds its way back from the least', () => {
    const { limit, end, serve } = setUp()
    limit.cap(400)
    for (let round = 1; round <= 50; round++) end('rate-limited')
    serve(30, () => 100)
    expect(limit.value).toBe(400)
  })
})

describe('the concurrency limit under load', () => {
  it('shrinks by a third, once for what was sent together, when most is told 429', () => {
    expect(setUp().end('rate-limited', 50)).toBe(33)
  })

  it('takes as many 429s to shrink again', () => {
    const { end } = setUp()
    expect([7, 6, 1].map(count => end('rate-limited', count))).toEqual([33, 33, 22])
  })

  it('does not shrink while most succeed', () => {
    const { limit, end } = setUp()
    for (let round = 1; round <= 50; round++) {
      end('rate-limited', 1)
      end('success', 2, { hasQueue: false })
    }
    expect(limit.value).toBe(50)
  })

  it('does not shrink for attempts that failed otherwise', () => {
    expect(setUp().end('other', 1_000)).toBe(50)
  })

  it('never falls below 10', () => {
    const { limit, end } = setUp()
    for (let round = 1; round <= 50; round++) end('rate-limited')
    expect(limit.value).toBe(10)
  })

  it.each([
    [TIMEOUT_MS, 50],
    [TIMEOUT_MS + 1, 33],
  ])('takes timeouts for load once nothing has succeeded for one timeoutMs: %d ms', (ms, value) => {
    const { end } = setUp()
    end('success', 1, { hasQueue: false })
    expect(end('timeout', 10, { ms, hasQueue: false })).toBe(value)
  })

  it.each([
    [2_400, 50],
    [2_600, 33],
  ])('takes timeouts for load where successes take over a quarter of timeoutMs: %d ms', (ms, value) => {
    const { end } = setUp()
    end('success', 50, { ms, hasQueue: false })
    expect(end('timeout', 10, { hasQueue: false })).toBe(value)
  })
})

describe('the concurrency limit where some users hang', () => {
  it('grows by a quarter at a timeout while calls wait, once for those that end together', () => {
    const { end } = setUp()
    end('success', 1, { hasQueue: false })
    expect(end('timeout', 5)).toBe(62)
  })

  it('does not grow while no call waits', () => {
    const { end } = setUp()
    end('success', 1, { hasQueue: false })
    expect(end('timeout', 5, { hasQueue: false })).toBe(50)
  })
})

describe('the cap of the concurrency limit', () => {
  it.each([400, 60, 5])('is never exceeded: %d', most => {
    const { limit, serve } = setUp()
    limit.cap(most)
    serve(10, () => 50)
    expect(limit.value).toBe(most)
  })

  it('may be lowered at any time, from where the limit grows again', () => {
    const { limit } = setUp()
    limit.cap(20)
    expect(limit.value).toBe(20)
    limit.cap(400)
    expect(limit.value).toBe(20)
  })

  it('does not delay growth once it is raised', () => {
    const { limit, end, serve } = setUp()
    limit.cap(50)
    serve(10, () => 50)
    limit.cap(400)
    expect(end('success', 25)).toBe(100)
  })
})
