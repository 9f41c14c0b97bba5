import { describe, expect, it } from '@jest/globals'
import { MintLimits } from '../../../lib/gateway/mint-limits.js'

describe('the limits of a mint', () => {
  it('are those of its first caller', () => {
    expect(new MintLimits({ timeoutMs: 100, maxRetries: 0 })).toMatchObject({ timeoutMs: 100, maxRetries: 0 })
  })

  it('each rise to those of a caller who joins, and never fall', () => {
    const limits = new MintLimits({ timeoutMs: 100, maxRetries: 2 })
    limits.raise({ timeoutMs: 5_000, maxRetries: 0 })
    expect(limits).toMatchObject({ timeoutMs: 5_000, maxRetries: 2 })
    limits.raise({ timeoutMs: 1, maxRetries: 3 })
    expect(limits).toMatchObject({ timeoutMs: 5_000, maxRetries: 3 })
  })
})
