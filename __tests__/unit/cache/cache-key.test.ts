import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { KeyMemo, keyOf } from '../../../lib/cache/cache-key.js'
import type { TokenRequest } from '../../../lib/token/token-request.js'

const scope = fc.oneof(fc.constantFrom('videos.read', 'videos.create', 'a', 'b', '"', ','), fc.string({ minLength: 1 }))
const scopes = fc.uniqueArray(scope, { maxLength: 4 }).map(list => list.sort())
const plain = fc.oneof(
  fc.constantFrom('é', 'e\u0301', 'A', 'a', ' a', 'a ', 'ﬁ', 'fi', '\u200b', '[', '[]', '["a",[]]', '__proto__'),
  fc.string({ unit: 'grapheme', minLength: 1 }),
  fc.string({ unit: 'binary', minLength: 1 }),
)
const request: fc.Arbitrary<TokenRequest> = fc.record({ identity: plain, scopes })
/** Identities that look like the keys of other requests, including requests whose identity imitates a key. */
const imitation = fc.oneof(
  request.map(keyOf),
  request.map(other => JSON.stringify([other.identity, other.scopes])),
  request.map(other => keyOf({ identity: keyOf(other), scopes: other.scopes })),
  request.map(other => `${other.identity}\0${other.scopes.join('\0')}`),
)
const anyRequest = fc.record({ identity: fc.oneof(plain, imitation), scopes })

describe('the key of a token', () => {
  it('is the same for two requests only if identity and scopes are the same', () => {
    fc.assert(
      fc.property(anyRequest, anyRequest, (one, other) => {
        const same = one.identity === other.identity && JSON.stringify(one.scopes) === JSON.stringify(other.scopes)
        expect(keyOf(one) === keyOf(other)).toBe(same)
      }),
      { numRuns: 2_000 },
    )
  })

  it('differs between a request and an identity that imitates its key', () => {
    fc.assert(
      fc.property(request, scopes, (original, otherScopes) => {
        const key = keyOf(original)
        const mimic = { identity: key, scopes: otherScopes }
        const isItself = original.identity === key && original.scopes.length === 0 && otherScopes.length === 0
        expect(keyOf(mimic) === key).toBe(isItself)
      }),
    )
  })

  it('does not fold, trim or normalise an identity', () => {
    const variants = ['é', 'e\u0301', 'É', ' é', 'é ', 'é\n', '\u200bé', 'é\u200b', 'ﬁ', 'fi', 'K', '\u212a']
    expect(new Set(variants.map(identity => keyOf({ identity, scopes: [] }))).size).toBe(variants.length)
    expect(new Set(variants.map(identity => keyOf({ identity, scopes: ['a'] }))).size).toBe(variants.length)
  })

  it('is the identity itself if no scopes are requested, except for one that looks like JSON', () => {
    expect(keyOf({ identity: 'END_USER_ID', scopes: [] })).toBe('END_USER_ID')
    expect(keyOf({ identity: '[a', scopes: [] })).toBe('["[a",[]]')
  })
})

describe('KeyMemo', () => {
  it('finds the key that keyOf returns, for the scopes in their original order', () => {
    fc.assert(
      fc.property(anyRequest, given => {
        const memo = new KeyMemo(10)
        memo.remember(given, [...given.scopes].reverse())
        expect(memo.find(given.identity, [...given.scopes].reverse())).toBe(keyOf(given))
      }),
    )
  })

  it('finds nothing for any other identity or scopes', () => {
    fc.assert(
      fc.property(anyRequest, anyRequest, (one, other) => {
        const memo = new KeyMemo(10)
        memo.remember(one, one.scopes)
        const found = memo.find(other.identity, other.scopes)
        expect(found === undefined || found === keyOf(other)).toBe(true)
      }),
      { numRuns: 1_000 },
    )
  })

  it('finds nothing for an array that was changed after it was remembered', () => {
    const memo = new KeyMemo(10)
    const scopes = ['videos.read']
    memo.remember({ identity: 'user', scopes: ['videos.read'] }, scopes)
    scopes[0] = 'videos.admin.read'
    expect(memo.find('user', scopes)).toBeUndefined()
    expect(memo.find('user', ['videos.read'])).toBe('["user",["videos.read"]]')
  })

  it('finds nothing for fewer or more scopes', () => {
    const memo = new KeyMemo(10)
    memo.remember({ identity: 'user', scopes: ['a', 'b'] }, ['a', 'b'])
    expect(memo.find('user', ['a'])).toBeUndefined()
    expect(memo.find('user', ['a', 'b', 'c'])).toBeUndefined()
    expect(memo.find('user', ['a', undefined])).toBeUndefined()
  })

  it('finds nothing for a string, which looks like an array of characters, or a proxy that throws', () => {
    const memo = new KeyMemo(10)
    memo.remember({ identity: 'user', scopes: ['a'] }, ['a'])
    const { proxy, revoke } = Proxy.revocable<string[]>([], {})
    revoke()
    for (const scopes of ['a', { 0: 'a', length: 1 }, proxy]) expect(memo.find('user', scopes)).toBeUndefined()
  })

  it('remembers only the given number of identities', () => {
    const memo = new KeyMemo(2)
    for (const identity of ['a', 'b', 'c']) memo.remember({ identity, scopes: ['s'] }, ['s'])
    expect(['a', 'b', 'c'].map(identity => memo.find(identity, ['s']) !== undefined)).toEqual([false, true, true])
  })
})
