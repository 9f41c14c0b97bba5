import { describe, expect, it } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import { VKitTimeoutError } from '../../../lib/core/errors.js'
import { isSessionToken, isVisibleAscii, resolveSecret } from '../../../lib/secret/app-secret.js'
import { assertNoSecret, FakeClock } from '../../../lib/testing/index.js'
import { failureOf } from '../../support/failure.js'

const jwt = (claims: object): string =>
  [{ alg: 'HS256' }, claims].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.') + '.c2ln'
const deadline = (): Deadline => new Deadline(new FakeClock(), 1_000, () => new VKitTimeoutError('late'))
const read = (given: unknown, environment?: string): Promise<string> =>
  resolveSecret(given, () => environment).read(deadline())

describe('the app secret', () => {
  it('is the given text, the result of the given function, or the environment variable', async () => {
    expect(await read('given', 'environment')).toBe('given')
    expect(await read(() => 'from-a-function', 'environment')).toBe('from-a-function')
    expect(await read(async () => Promise.resolve('from-a-promise'))).toBe('from-a-promise')
    expect(await read(undefined, 'environment')).toBe('environment')
  })

  it('may change only if it comes from a function', () => {
    expect(
      resolveSecret(
        () => 'secret',
        () => undefined,
      ).rotates,
    ).toBe(true)
    expect(resolveSecret('secret', () => undefined).rotates).toBe(false)
    expect(resolveSecret(undefined, () => 'secret').rotates).toBe(false)
  })

  it.each<[string, unknown, string]>([
    ['a number', 42, 'must be a string or a function, not of type number'],
    ['empty text', '', 'is empty'],
    ['the text of an unset value', 'undefined', 'is the string of a missing value'],
    ['quotes', '"secret"', 'is in quotes'],
    ['a line break', 'secret\n', 'contains spaces, line breaks or characters outside ASCII'],
    ['text that is too long', 'a'.repeat(8 * 1024 + 1), 'is longer than 8 KiB'],
    ['a session token', jwt({ role: 'session', exp: 2_000_000_000 }), 'is a session token'],
  ])('is refused immediately: %s', (_, secret, message) => {
    expect(() => resolveSecret(secret, () => undefined)).toThrow(`appSecret ${message}`)
  })

  it('causes VKIT_CONFIG at the first call if it is missing', async () => {
    expect(await failureOf(read(undefined))).toMatchObject({
      code: 'VKIT_CONFIG',
      message: expect.stringContaining('set VKIT_APP_SECRET') as unknown,
    })
  })

  it('does not appear in the error if the provider fails', async () => {
    const secret = 'the-secret-in-its-message'
    const error = await failureOf(read(() => Promise.reject(new TypeError(`cannot parse ${secret}`))))
    expect(error).toMatchObject({ code: 'VKIT_CONFIG', cause: { name: 'TypeError' } })
    assertNoSecret(error, secret)
  })
})

describe('isSessionToken', () => {
  it.each<[string, string, boolean]>([
    ['an app secret', jwt({ role: 'app', iat: 1 }), false],
    ['a JWT without a role', jwt({ acid: 'x' }), false],
    ['a JWT of another role', jwt({ role: 'session' }), true],
    ['a JWT that expires', jwt({ role: 'app', exp: 1 }), true],
    ['opaque text', 'opaque', false],
  ])('recognizes %s', (_, text, expected) => {
    expect(isSessionToken(text)).toBe(expected)
  })
})

describe('isVisibleAscii', () => {
  it.each([
    ['secret', true],
    ['', false],
    ['se cret', false],
    ['sécret', false],
  ])('returns for %j: %s', (text, expected) => {
    expect(isVisibleAscii(text)).toBe(expected)
  })
})
