import { afterEach, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { keyOf } from '../../../lib/cache/cache-key.js'
import { plainJson } from '../../../lib/core/plain-json.js'

const prototypes = [Object.prototype, Array.prototype] as { toJSON?: () => unknown }[]

afterEach(() => {
  for (const prototype of prototypes) delete prototype.toJSON
})

describe('plainJson', () => {
  it('returns the same text as JSON.stringify', () => {
    const plain = fc.letrec(tie => ({
      any: fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.double(),
        fc.array(tie('any')),
        fc.dictionary(fc.string(), tie('any')),
      ),
    })).any
    fc.assert(fc.property(plain, value => plainJson(value as string) === JSON.stringify(value)))
  })

  it('keeps the cache keys of two users different although toJSON is polluted', () => {
    const key = (identity: string): string => keyOf({ identity, scopes: ['videos.read'] })
    const clean = key('alice')
    for (const prototype of prototypes) prototype.toJSON = () => 'the same for all'
    expect(key('alice')).toBe(clean)
    expect(key('bob')).not.toBe(clean)
  })
})
