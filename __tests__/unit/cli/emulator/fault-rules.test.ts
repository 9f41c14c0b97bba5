import { describe, expect, it } from '@jest/globals'
import { FaultRules } from '../../../../lib/cli/emulator/fault-rules.js'
import { seededRandom } from '../../../support/random.js'

describe('fault rules', () => {
  it('apply for their number of requests, and then the next rule applies', () => {
    const faults = new FaultRules(['429,retry-after=2,x2', 'delay=800ms'])
    const met = Array.from({ length: 3 }, () => faults.next())
    expect(met[1]).toMatchObject({ status: 429, headers: { 'Retry-After': '2' } })
    expect(met[2]).toEqual({ delayMs: 800 })
  })

  it('apply to a percentage of the requests', () => {
    const faults = new FaultRules(['503,20%'], seededRandom())
    const met = Array.from({ length: 10_000 }, () => faults.next()).filter(Boolean).length
    expect(met).toBeGreaterThan(1_500)
    expect(met).toBeLessThan(2_500)
  })
})
