import { describe, expect, it } from '@jest/globals'
import { callListener } from '../../../lib/core/call-listener.js'

describe('callListener', () => {
  it('suppresses errors that a listener throws or rejects with', async () => {
    const unhandled: unknown[] = []
    const record = (reason: unknown): void => void unhandled.push(reason)
    process.on('unhandledRejection', record)
    try {
      callListener(() => {
        throw new Error('thrown')
      })
      callListener(() => Promise.reject(new Error('rejected')))
      await new Promise(resolve => setImmediate(resolve))
      expect(unhandled).toEqual([])
    } finally {
      process.off('unhandledRejection', record)
    }
  })
})
