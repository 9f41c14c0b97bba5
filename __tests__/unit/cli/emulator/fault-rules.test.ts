import { describe, expect, it } from '@jest/globals'
import { readFault } from '../../../../lib/cli/emulator/fault-rules.js'

describe('a rule of --fault', () => {
  it.each([
    ['503', { status: 503 }],
    ['429,retry-after=2,x3', { status: 429, headers: { 'Retry-After': '2' }, times: 3 }],
    ['503, delay=800ms, 20%', { status: 503, delayMs: 800, share: 0.2 }],
    ['reset', { reset: true }],
    ['silence', { silence: true }],
    ['expired', { answer: { expiresAt: '2000-01-01T00:00:00Z' } }],
  ])('%s is a fault of the emulator', (rule, fault) => {
    expect(readFault(rule)).toEqual(fault)
  })
})
