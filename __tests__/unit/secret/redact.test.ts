import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { containsSecret, redact } from '../../../lib/secret/redact.js'

const OPAQUE = 'sk-9f2Kd7Qx0LmZ4vTb8YcR1wEu6HsJ3nPa'
const DOTTED = 'live.0123456789abcdefghij.xyz'
const JWT =
  'eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYXBwIiwiaXNzIjoidmlkZW8uaW8ifQ.kq3vX0aTn5cWm8sYpR1uLdZ7hGfEjB2oV4iNxCwQt6M'
const SIGNATURE = JWT.split('.')[2] ?? ''

describe('redact', () => {
  it.each([
    ['an opaque secret', OPAQUE, OPAQUE],
    ['the signature of a JWT', JWT, SIGNATURE],
    ['a secret with dots that is not a JWT', DOTTED, DOTTED],
  ])('redacts any 12 consecutive characters of %s, and nothing else', (_, secret, secretPart) => {
    const lengths = fc.integer({ min: 12, max: 31 })
    fc.assert(
      fc.property(lengths, fc.nat(secretPart.length - 12), (length, at) => {
        const fragment = secretPart.slice(at, at + length)
        expect(redact(`key <${fragment}> is unknown`, secret)).toBe('key <[redacted]> is unknown')
      }),
    )
    expect(redact(`key <${secretPart.slice(3, 14)}> is unknown`, secret)).toBe(
      `key <${secretPart.slice(3, 14)}> is unknown`,
    )
  })

  it('redacts every fragment of a text, side by side and overlapping', () => {
    const text = `${OPAQUE.slice(0, 14)}, ${OPAQUE.slice(5, 20)}${OPAQUE.slice(0, 12)} and ${OPAQUE.slice(-12)}`
    const clean = redact(text, OPAQUE)
    for (let at = 0; at + 12 <= OPAQUE.length; at++) expect(clean).not.toContain(OPAQUE.slice(at, at + 12))
    expect(clean).toMatch(/^\[redacted\], (?:\[redacted\])+ and \[redacted\]$/)
  })

  it('redacts a fragment that contains a line break', () => {
    expect(redact(`key ${OPAQUE.slice(0, 7)}\n${OPAQUE.slice(7, 14)}`, OPAQUE)).toBe('[redacted]')
  })

  it('keeps the common beginning of a JWT', () => {
    expect(redact('not eyJhbGciOiJIUzI1NiJ9', JWT)).toBe('not eyJhbGciOiJIUzI1NiJ9')
  })

  it('replaces characters that change the direction of text', () => {
    expect(redact('a\u202eb\u200fc\u061cd\u2066e', OPAQUE)).toBe('a b c d e')
  })
})

describe('containsSecret', () => {
  it('finds a fragment in upper or lower case', () => {
    expect(containsSecret(`req-${OPAQUE.slice(4, 16).toUpperCase()}`, OPAQUE)).toBe(true)
    expect(containsSecret(`req-${OPAQUE.slice(4, 15)}`, OPAQUE)).toBe(false)
  })

  it('finds 12 consecutive characters of a secret, of a JWT only those of its signature', () => {
    fc.assert(fc.property(fc.nat(OPAQUE.length - 12), at => containsSecret(`id:${OPAQUE.slice(at, at + 12)}`, OPAQUE)))
    expect(containsSecret(JWT.slice(0, 20), JWT)).toBe(false)
    expect(containsSecret(SIGNATURE.slice(-12), JWT)).toBe(true)
  })

  it('finds a short secret in its usual encodings', () => {
    const secret = 'p@ss wörd'
    const encodings = [
      Buffer.from(secret).toString('base64'),
      encodeURIComponent(secret),
      Buffer.from(secret).toString('hex'),
    ]
    for (const each of [secret, ...encodings]) expect(containsSecret(`id-${each}`, secret)).toBe(true)
  })
})
