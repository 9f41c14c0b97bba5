import { describe, expect, it } from '@jest/globals'
import { looksLikeSecret, readDuration } from '../../../lib/cli/arguments.js'

describe('looksLikeSecret', () => {
  const header = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url')
  const spaced = Buffer.from('{ "typ": "JWT", "alg": "RS256" }').toString('base64url')

  it.each([`${header}.e30.c2ln`, `${spaced}.e30.c2ln`, `--secret=${header}.e30.c2ln`, `Bearer ${header}.e30.`])(
    'recognizes %s',
    text => expect(looksLikeSecret(text)).toBe(true),
  )

  it.each([
    'user-1',
    'anna@example.com',
    'www.example.com.au',
    'a1b2c3d4-e5f6-7890-abcd-ef1234567890',
    'eyJoZWxsbw.world.foo',
    'f'.repeat(64),
  ])('does not recognize %s', text => expect(looksLikeSecret(text)).toBe(false))
})

describe('readDuration', () => {
  it.each([
    ['90s', 90_000],
    ['90', 90_000],
    ['500ms', 500],
    ['1.5h', 5_400_000],
    ['1d', 86_400_000],
  ])('reads %s as %i ms', (text, ms) => expect(readDuration(text, '--ttl')).toBe(ms))

  it.each(['', '0', '-1s', '1w', '1e9d', 'soon', '30d'])('rejects %j', text =>
    expect(() => readDuration(text, '--ttl')).toThrow('--ttl'),
  )
})
