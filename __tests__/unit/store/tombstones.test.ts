import { describe, expect, it } from '@jest/globals'
import { Tombstones } from '../../../lib/store/tombstones.js'
import type { MintedToken } from '../../../lib/token/session-token.js'

function minted(sessionToken: string, startedAt: number): MintedToken {
  const token = { sessionToken, expiresAt: '2030-01-01T00:00:00Z', identity: 'user', scopes: [] }
  return { token, lifetime: { start: { wall: startedAt, monotonic: 0 }, ms: 60_000 } }
}

describe('tombstones', () => {
  it('cover tokens of the key that were minted up to the given time', () => {
    const tombstones = new Tombstones()
    tombstones.addUntil('key', 1_000)
    expect(tombstones.covers('key', minted('a', 1_000))).toBe(true)
    expect(tombstones.covers('key', minted('a', 1_001))).toBe(false)
    expect(tombstones.covers('other', minted('a', 1_000))).toBe(false)
  })

  it('cover one token, regardless of when it was minted', () => {
    const tombstones = new Tombstones()
    tombstones.addToken('key', 'a')
    expect(tombstones.covers('key', minted('a', 9_999))).toBe(true)
    expect(tombstones.covers('key', minted('b', 0))).toBe(false)
  })

  it('do not cover a token that this process stored later in the same millisecond', () => {
    const tombstones = new Tombstones()
    tombstones.addUntil('key', 1_000)
    tombstones.noteRenewal('key', 'b')
    expect(tombstones.covers('key', minted('b', 1_000))).toBe(false)
    expect(tombstones.covers('key', minted('a', 1_000))).toBe(true)
  })

  it('cover an invalidated token that this process had stored', () => {
    const tombstones = new Tombstones()
    tombstones.addUntil('key', 1_000)
    tombstones.noteRenewal('key', 'b')
    tombstones.addToken('key', 'b')
    expect(tombstones.covers('key', minted('b', 2_000))).toBe(true)
  })
})
