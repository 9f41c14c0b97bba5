import { describe, expect, it } from '@jest/globals'
import { VKitAuthenticationError, VKitRateLimitError, VKitServerError } from '../../../lib/core/errors.js'
import { FailureMemory } from '../../../lib/gateway/failure-memory.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { seededRandom } from '../../support/random.js'

/** By default, each backoff is the shortest possible one: half of its ceiling. */
function setUp({ random = (): number => 0, maxEntries = 1_000 } = {}) {
  const clock = new FakeClock()
  const memory = new FailureMemory({ refusedBy: 'key', maxEntries, clock, random })
  const isRefused = (key: string): boolean => memory.refusalOf(key) !== undefined
  return { clock, memory, isRefused }
}

const down = new VKitServerError('down', { status: 503, requestId: 'req-1', attempts: 3 })
const later = (retryAfterMs: number): VKitRateLimitError => new VKitRateLimitError('later', { retryAfterMs })

describe('a remembered failure', () => {
  it('refuses its key with the same error, without an attempt', () => {
    const { memory } = setUp()
    memory.record('a', down)
    const refusal = memory.refusalOf('a')
    expect(refusal).toBeInstanceOf(VKitServerError)
    expect(refusal).toMatchObject({
      ...{ code: 'VKIT_UNAVAILABLE', message: 'down', status: 503, requestId: 'req-1', retryable: true },
      ...{ attempts: 0, refusedBy: 'key', retryAfterMs: 100 },
    })
  })

  it('returns a separate error object to each caller', () => {
    const { memory } = setUp()
    memory.record('a', down)
    expect(memory.refusalOf('a')).not.toBe(memory.refusalOf('a'))
  })

  it('does not refuse other keys', () => {
    const { memory, isRefused } = setUp()
    memory.record('a', down)
    expect(isRefused('b')).toBe(false)
  })

  it('refuses until its backoff ends, with the remaining time as retryAfterMs', async () => {
    const { clock, memory, isRefused } = setUp()
    memory.record('a', down)
    await clock.advance(99)
    expect(memory.refusalOf('a')).toMatchObject({ retryAfterMs: 1 })
    await clock.advance(1)
    expect(isRefused('a')).toBe(false)
  })

  it('rounds retryAfterMs up, so that a call after it is not refused', () => {
    const { memory } = setUp({ random: () => 0.123 })
    expect(memory.record('a', down)).toBeCloseTo(112.3)
    expect(memory.refusalOf('a')).toMatchObject({ retryAfterMs: 113 })
  })

  it('is forgotten after a success', async () => {
    const { memory, clock, isRefused } = setUp()
    memory.record('a', down)
    await clock.advance(100)
    memory.record('a', down)
    memory.forget('a')
    expect(isRefused('a')).toBe(false)
    expect(memory.record('a', down)).toBe(100)
  })
})

describe('the backoff of a key', () => {
  it('starts at 0.2 s, half of it jitter', () => {
    const { memory } = setUp({ random: seededRandom() })
    const waits = Array.from({ length: 1_000 }, (_, key) => memory.record(`user ${key}`, down))
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(100)
    expect(Math.min(...waits)).toBeLessThan(102)
    expect(Math.max(...waits)).toBeLessThanOrEqual(200)
    expect(Math.max(...waits)).toBeGreaterThan(198)
  })

  it.each([
    { others: 'succeed', longest: [3_200, 6_400, 12_800, 15_000, 15_000] },
    { others: 'do not', longest: [2_500, 2_500, 2_500, 2_500, 2_500] },
  ])(
    'doubles up to 30 s if other keys succeed meanwhile, otherwise up to 5 s: they $others',
    async ({ others, longest }) => {
      const { clock, memory } = setUp()
      const waits: number[] = []
      for (let failure = 1; failure <= 10; failure++) {
        const succeededAt = others === 'succeed' ? clock.monotonic() : -Infinity
        waits.push(memory.record('a', down, succeededAt))
        await clock.advance(waits.at(-1) ?? 0)
      }
      expect(waits).toEqual([100, 200, 400, 800, 1_600, ...longest])
    },
  )

  it.each([
    { succeededAt: 999, then: 'up to 5 s', longest: 2_500 },
    { succeededAt: 1_000, then: 'up to 30 s', longest: 15_000 },
  ])(
    'doubles $then if another key succeeded last $succeededAt ms after the start, and this one failed first after 1 s',
    async ({ succeededAt, longest }) => {
      const { clock, memory } = setUp()
      await clock.advance(1_000)
      let waitMs = 0
      for (let failure = 1; failure <= 10; failure++) {
        waitMs = memory.record('a', down, succeededAt)
        await clock.advance(waitMs)
      }
      expect(waitMs).toBe(longest)
    },
  )

  it('forgets a success that was between failures of long ago and the latest ones', async () => {
    const { clock, memory } = setUp()
    memory.record('a', down, 0)
    await clock.advance(60_000)
    let waitMs = 0
    for (let failure = 1; failure <= 10; failure++) {
      waitMs = memory.record('a', down, 10_000)
      await clock.advance(waitMs)
    }
    expect(waitMs).toBe(2_500)
  })

  it('counts mints that failed together as one failure', async () => {
    const { clock, memory } = setUp()
    for (let mint = 1; mint <= 10; mint++) expect(memory.record('a', down)).toBe(100)
    await clock.advance(60)
    expect(memory.record('a', down)).toBe(40)
    await clock.advance(40)
    expect(memory.record('a', down)).toBe(200)
  })

  it('starts again from the first value if the last one ended more than 30 s ago', async () => {
    const { clock, memory } = setUp()
    memory.record('a', down)
    await clock.advance(100 + 30_000)
    expect(memory.record('a', down)).toBe(200)
    await clock.advance(200 + 30_001)
    expect(memory.record('a', down)).toBe(100)
  })
})

describe('a Retry-After', () => {
  it.each([60_000, 20])('replaces the backoff, longer or shorter: %d ms', retryAfterMs => {
    const { memory } = setUp()
    expect(memory.record('a', later(retryAfterMs))).toBe(retryAfterMs)
  })

  it.each([down, later(1_000)])('is not shortened by a later failure (%s)', async error => {
    const { clock, memory } = setUp()
    memory.record('a', later(60_000))
    await clock.advance(10_000)
    expect(memory.record('a', error)).toBe(50_000)
  })

  it('remains when a failure without one follows, whose message replaces that of the first', () => {
    const { memory } = setUp()
    memory.record('a', later(60_000))
    memory.record('a', down)
    memory.forgetBackoffs()
    expect(memory.refusalOf('a', true)).toMatchObject({ message: 'down', retryAfterMs: 60_000, attempts: 0 })
  })

  it.each([100, 60_000])('replaces a backoff of 100 ms that has not ended: %d ms', retryAfterMs => {
    const { memory } = setUp()
    memory.record('a', down)
    expect(memory.record('a', later(retryAfterMs))).toBe(retryAfterMs)
    expect(memory.refusalOf('a', true)).toMatchObject({ message: 'later', retryAfterMs })
  })

  it('stays when the backoffs are forgotten', () => {
    const { memory, isRefused } = setUp()
    memory.record('backoff', down)
    memory.record('retry-after', later(60_000))
    memory.forgetBackoffs()
    expect([isRefused('backoff'), isRefused('retry-after')]).toEqual([false, true])
  })

  it('can be queried without the backoffs', () => {
    const { memory } = setUp()
    memory.record('backoff', down)
    memory.record('retry-after', later(60_000))
    expect(memory.refusalOf('backoff', true)).toBeUndefined()
    expect(memory.refusalOf('retry-after', true)).toMatchObject({ retryAfterMs: 60_000 })
  })
})

describe('the memory', () => {
  it('forgets the failures that a wrong secret caused when asked to, and no others', () => {
    const { memory, isRefused } = setUp()
    memory.record('secret', new VKitAuthenticationError('wrong secret', { retryAfterMs: 60_000 }))
    memory.record('other', down)
    memory.forgetUnauthenticated()
    expect([isRefused('secret'), isRefused('other')]).toEqual([false, true])
  })

  it('knows which keys failed last, no matter how long ago', async () => {
    const { clock, memory } = setUp()
    memory.record('a', down)
    await clock.advance(3_600_000)
    expect([memory.has('a'), memory.has('b')]).toEqual([true, false])
  })

  it('remembers the latest maxEntries keys', () => {
    const { memory, isRefused } = setUp({ maxEntries: 3 })
    for (const key of ['a', 'b', 'c', 'd']) memory.record(key, down)
    expect(['a', 'b', 'c', 'd'].map(isRefused)).toEqual([false, true, true, true])
  })

  it('has the number of currently refused keys as its size', async () => {
    const { clock, memory } = setUp()
    memory.record('a', down)
    memory.record('b', later(60_000))
    expect(memory.size).toBe(2)
    await clock.advance(100)
    expect(memory.size).toBe(1)
  })
})
