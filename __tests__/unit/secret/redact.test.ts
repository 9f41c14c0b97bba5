import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { containsSecret, hasOpaqueRun, redact } from '../../../lib/secret/redact.js'

const OPAQUE = 'sk-9f2Kd7Qx0LmZ4vTb8YcR1wEu6HsJ3nPa'
const DOTTED = 'live.0123456789abcdefghij.xyz'
const JWT =
  'eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYXBwIiwiaXNzIjoidmlkZW8uaW8ifQ.kq3vX0aTn5cWm8sYpR1uLdZ7hGfEjB2oV4iNxCwQt6M'
const SIGNATURE = JWT.split('.')[2] ?? ''
/** Shorter than a fragment. Its encodings have every character of base64 that base64url replaces, and padding. */
const SHORT = '>>>???"a'
const ENCODINGS = [
  ['as it is', SHORT],
  ['base64', 'Pj4+Pz8/ImE='],
  ['base64 without padding', 'Pj4+Pz8/ImE'],
  ['base64url', 'Pj4-Pz8_ImE'],
  ['hexadecimal', '3e3e3e3f3f3f2261'],
  ['hexadecimal in upper case', '3E3E3E3F3F3F2261'],
  ['percent-encoded', '%3E%3E%3E%3F%3F%3F%22a'],
  ['percent-encoded in lower case', '%3e%3e%3e%3f%3f%3f%22a'],
  ['percent-encoded in every byte', '%3E%3E%3E%3F%3F%3F%22%61'],
  ['as a JSON string', String.raw`>>>???\"a`],
] as const

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

  it.each(ENCODINGS)('redacts a short secret %s', (_, encoded) => {
    expect(redact(`keys <${encoded}> and <${encoded}> are unknown`, SHORT)).toBe(
      'keys <[redacted]> and <[redacted]> are unknown',
    )
  })

  it.each([
    ['two parts', `eyJhbGciOiJIUzI1NiJ9.${OPAQUE}`, 'eyJhbGciOiJIUzI1NiJ9'],
    ['four parts', `eyJhbGciOiJIUzI1NiJ9.payload.${OPAQUE}.fourth`, 'eyJhbGciOiJIUzI1NiJ9'],
    ['a short third part', 'eyJhbGciOiJIUzI1NiJ9.payload.12345678901', 'eyJhbGciOiJIUzI1NiJ9'],
    ['another first part', `live-eyJhbGci.payload.${OPAQUE}`, 'live-eyJhbGci'],
  ])('redacts every part of a secret that is not a JWT because of %s', (_, secret, part) => {
    expect(redact(`key <${part}> is unknown`, secret)).toBe('key <[redacted]> is unknown')
  })

  it('keeps the first parts of a JWT with a signature of 12 characters', () => {
    expect(redact('not eyJhbGciOiJIUzI1NiJ9', 'eyJhbGciOiJIUzI1NiJ9.payload.123456789012')).toBe(
      'not eyJhbGciOiJIUzI1NiJ9',
    )
  })

  it.each([
    ['a fragment', OPAQUE.slice(0, 14), OPAQUE],
    ['a short secret', SHORT, SHORT],
  ])('redacts a whole text that contains %s with a line break or a space in it', (_, text, secret) => {
    for (const gap of ['\n', ' ', '\u200b', '\r\n']) {
      for (const start of ['', 'key ']) {
        expect(redact(`${start}${text.slice(0, 5)}${gap}${text.slice(5)}`, secret)).toBe('[redacted]')
      }
    }
  })

  it('redacts 32 consecutive characters of any encoding, which may be a token', () => {
    for (const run of ['aZ09+/=_.~%-'.repeat(3).slice(0, 32), 'a'.repeat(100)]) {
      expect(redact(`not <${run}> here`, OPAQUE)).toBe('not <[redacted]> here')
      expect(hasOpaqueRun(`not <${run}> here`)).toBe(true)
      expect(hasOpaqueRun(run)).toBe(true)
    }
    const text = `not <${'a'.repeat(31)}> ${'<>'.repeat(16)}`
    expect(redact(text, OPAQUE)).toBe(text)
    expect(hasOpaqueRun(text)).toBe(false)
  })

  it('returns one short line', () => {
    expect(redact(' \n no\r\n\tsuch\u2028app\0\n', OPAQUE)).toBe('no such app')
    expect(redact('no '.repeat(100).trimEnd(), OPAQUE)).toBe('no '.repeat(100).trimEnd())
    expect(redact('word '.repeat(60), OPAQUE)).toBe('word '.repeat(60).trimEnd())
    expect(redact('.'.padStart(300, 'no '), OPAQUE)).toBe('.'.padStart(300, 'no '))
    expect(redact('.'.padStart(301, 'no '), OPAQUE)).toBe(`${'no '.repeat(100)}…`)
  })

  it('shows nothing after the first 4,096 characters, even if it removes most of these', () => {
    expect(redact(`${'a'.repeat(4_091)} text that follows`, OPAQUE)).toBe('[redacted] text')
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

  it.each(ENCODINGS)('finds a short secret %s', (_, encoded) => {
    for (const text of [encoded, `id-${encoded}`, encoded.toUpperCase()]) expect(containsSecret(text, SHORT)).toBe(true)
  })

  it('finds nothing in a text of any length that contains no part of the secret', () => {
    for (const secret of [OPAQUE, JWT, SHORT]) {
      expect(containsSecret('req-1', secret)).toBe(false)
      expect(containsSecret('a long text in which no part of a secret is '.repeat(4), secret)).toBe(false)
    }
  })
})
