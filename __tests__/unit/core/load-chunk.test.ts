import { describe, expect, it, jest } from '@jest/globals'
import { loadChunk } from '../../../lib/core/load-chunk.js'

describe('a part that is loaded when it is needed', () => {
  it('is loaded again by the next call after a failure, which reports its cause', async () => {
    const cause = new Error('EMFILE')
    const load = jest.fn<() => Promise<string>>().mockRejectedValueOnce(cause).mockResolvedValueOnce('loaded')
    await expect(loadChunk(load, 'not-built.js')).rejects.toBe(cause)
    expect(await loadChunk(load, 'not-built.js')).toBe('loaded')
  })

  it('is loaded under another name if only the first name fails', async () => {
    const failed = (): Promise<{ onAbort: unknown }> => Promise.reject(new Error('cached by Node'))
    expect(await loadChunk(failed, 'on-abort.ts')).toHaveProperty('onAbort')
  })
})
