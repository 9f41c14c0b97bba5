import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { IdentitySet } from '../../../../lib/cli/token/identity-set.js'

describe('a set of identities', () => {
  it('behaves like a Set', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), identities => {
        const [ours, theirs] = [new IdentitySet(), new Set<string>()]
        for (const identity of identities) {
          expect(ours.add(identity)).toBe(!theirs.has(identity))
          theirs.add(identity)
        }
        expect(ours.size).toBe(theirs.size)
      }),
    )
  })

  it('grows without losing an identity', () => {
    const set = new IdentitySet()
    for (let i = 0; i < 20_000; i++) expect(set.add(`user-${i}`)).toBe(true)
    for (let i = 0; i < 20_000; i++) expect(set.add(`user-${i}`)).toBe(false)
    expect(set.size).toBe(20_000)
  })
})
