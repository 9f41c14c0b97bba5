import { describe, expect, it } from '@jest/globals'
import { RecentLatency } from '../../../lib/gateway/recent-latency.js'

function latencyOf(...samples: readonly number[]): RecentLatency {
  const latency = new RecentLatency()
  for (const ms of samples) latency.record(ms)
  return latency
}

describe('the recent latency', () => {
  it('is unknown before the first success', () => {
    expect(latencyOf().medianMs).toBeUndefined()
  })

  it('is the median of the samples, in any order', () => {
    expect(latencyOf(100, 9, 10).medianMs).toBe(10)
  })

  it('does not change after one slow response', () => {
    expect(latencyOf(50, 50, 10_000, 50, 50).medianMs).toBe(50)
  })

  it('changes with samples that are recorded after it was read', () => {
    const latency = latencyOf(10)
    expect(latency.medianMs).toBe(10)
    latency.record(30)
    latency.record(30)
    expect(latency.medianMs).toBe(30)
  })

  it('uses only the latest 31 samples', () => {
    const latency = latencyOf(...Array<number>(100).fill(900))
    for (let sample = 1; sample <= 15; sample++) latency.record(50)
    expect(latency.medianMs).toBe(900)
    latency.record(50)
    expect(latency.medianMs).toBe(50)
  })
})
