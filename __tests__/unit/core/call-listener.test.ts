import { describe, expect, it } from '@jest/globals'
import { callListener } from '../../../lib/core/call-listener.js'

describe('callListener', () => {
  it('keeps what a listener throws, or rejects with, from its caller and from the process', async () => {
    const unhandled: unknown[] = []
    const note = (reason: unknown): void => void unhandled.push(reason)
    process.on('unhandledRejection', note)
    try {
      callListener(() => {
        throw new Error('thrown')
      })
      callListener(() => Promise.reject(new Error('rejected')))
      await new Promise(resolve => setImmediate(resolve))
      expect(unhandled).toEqual([])
    } finally {
      process.off('unhandledRejection', note)
    }
  })
})
