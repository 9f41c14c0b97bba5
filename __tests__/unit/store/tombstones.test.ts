import { describe, expect, it } from '@jest/globals'
import { TOLERANCE_MS, Tombstones, type DatedToken } from '../../../lib/store/tombstones.js'

function minted(sessionToken: string, mintedAtMs: number, afterMs?: number): DatedToken {
  return { sessionToken, mintedAtMs, afterMs }
}

describe('tombstones', () => {
  it('cover tokens of the key that may have been minted until the given time', () => {
    const tombstones = new Tombstones()
    tombstones.addUntil('key', 1_000)
    expect(tombstones.covers('key', minted('a', 1_000))).toBe(true)
    expect(tombstones.covers('key', minted('a', 1_000 + TOLERANCE_MS))).toBe(true)
    expect(tombstones.covers('key', minted('a', 1_001 + TOLERANCE_MS))).toBe(false)
    expect(tombstones.covers('other', minted('a', 1_000))).toBe(false)
    expect([tombstones.untilMs('key'), tombstones.untilMs('other')]).toEqual([1_000, undefined])
  })

  it('do not cover a token of a process that knew the invalidation, whatever the clocks say', () => {
    const tombstones = new Tombstones()
    tombstones.addUntil('key', 1_000)
    expect(tombstones.covers('key', minted('a', 0, 1_000))).toBe(false)
    expect(tombstones.covers('key', minted('a', 0, 999))).toBe(true)
  })

  it('cover one token, regardless of when it was minted', () => {
    const tombstones = new Tombstones()
    tombstones.addUntil('key', 1_000)
    for (const key of ['key', 'other']) tombstones.addToken(key, text => text === 'a')
    expect(tombstones.covers('key', minted('a', 99_999, 1_000))).toBe(true)
    expect([minted('a', 0), minted('b', 0)].map(each => tombstones.covers('other', each))).toEqual([true, false])
    expect(tombstones.covers('key', minted('b', 99_999))).toBe(false)
    expect(tombstones.covers('key', minted('b', 0))).toBe(true)
  })

  it('tell whether an invalidation is new', () => {
    const tombstones = new Tombstones()
    expect(tombstones.addUntil('key', 1_000)).toBe(true)
    expect(tombstones.addUntil('key', 1_000)).toBe(false)
    expect(tombstones.addUntil('key', 999)).toBe(false)
    expect(tombstones.addUntil('key', 1_001)).toBe(true)
    expect(tombstones.untilMs('key')).toBe(1_001)
  })
})
