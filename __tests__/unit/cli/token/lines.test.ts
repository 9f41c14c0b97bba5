import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { MAX_LINE_BYTES, readLines, textOf } from '../../../../lib/cli/token/lines.js'

async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size))
}

describe('lines', () => {
  it('are the lines of the text, for chunks of any size', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: 'binary' })), fc.integer({ min: 1, max: 9 }), async (words, size) => {
        const lines = words.map(word => word.replace(/[\r\n\ufeff\ud800-\udfff]/gu, ''))
        const bytes = Buffer.from(lines.map(line => `${line}\n`).join(''))
        const read: (string | undefined)[] = []
        let end = 0
        for await (const line of readLines(chunksOf(bytes, size))) {
          read.push(textOf(line))
          end = line.end
        }
        expect(read).toEqual(lines)
        expect(end).toBe(bytes.length)
      }),
    )
  })

  it('report where an unfinished last line begins', async () => {
    const ends: [number, boolean][] = []
    for await (const { end, isEnded } of readLines(chunksOf(Buffer.from('ab\ncd\nef'), 2))) ends.push([end, isEnded])
    expect(ends).toEqual([
      [3, true],
      [6, true],
      [8, false],
    ])
  })

  it('are cut at a maximum length', async () => {
    const long = Buffer.alloc(4 * MAX_LINE_BYTES, 'x')
    for await (const line of readLines(chunksOf(long, 65_536))) {
      expect(line.isTooLong).toBe(true)
      expect(line.bytes.length).toBe(MAX_LINE_BYTES + 1)
      expect(line.end).toBe(long.length)
    }
  })
})
