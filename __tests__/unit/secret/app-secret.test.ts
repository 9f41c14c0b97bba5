import { describe, expect, it } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import { VKitTimeoutError } from '../../../lib/core/errors.js'
import { isSessionToken, isVisibleAscii, resolveSecret } from '../../../lib/secret/app-secret.js'
import { assertNoSecret, FakeClock } from '../../../lib/testing/index.js'
import { failureOf } from '../../support/failure.js'

const jwt = (claims: object): string =>
  [{ alg: 'HS256' }, claims].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.') + '.c2ln'
const deadline = (): Deadline => new Deadline(new FakeClock(), 1_000, () => new VKitTimeoutError('late'))
const configError = (message: string): object => ({ code: 'VKIT_CONFIG', message })
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

  it('is read from the environment once', async () => {
    let environment: string | undefined = 'first'
    const source = resolveSecret(undefined, () => environment)
    expect(await source.read(deadline())).toBe('first')
    environment = undefined
    expect(await source.read(deadline())).toBe('first')
  })

  it.each<[string, string]>([
    ['8 KiB', 'a'.repeat(8 * 1024)],
    ['a quote at its end', 'se"cret"'],
    ['a quote at its beginning', '"se"cret'],
    ['different quotes around it', `"secret'`],
    ['a single quote character', '"'],
  ])('may have %s', async (_, secret) => {
    expect(await read(secret)).toBe(secret)
  })

  const PROVIDER_CONTEXT =
    'It runs in the context in which the client was created, and does not see the current request.'
  it.each<[string, unknown, string]>([
    ['a number', 42, 'must be a string, not of type number.'],
    ['null', null, 'must be a string, not null.'],
    ['empty text', '', 'is empty.'],
    ['the text of an unset value', 'undefined', 'is the string of a missing value, such as "undefined".'],
    ['double quotes', '"secret"', 'is in quotes: remove them.'],
    ['single quotes and a line break', "'sec\nret'", 'is in quotes: remove them.'],
    ['backquotes', '`secret`', 'is in quotes: remove them.'],
    ['a line break', 'secret\n', 'contains spaces, line breaks or characters outside ASCII: copy only the secret.'],
    ['text that is too long', 'a'.repeat(8 * 1024 + 1), 'is longer than 8 KiB.'],
    [
      'a session token',
      jwt({ role: 'session', exp: 2_000_000_000 }),
      'is a session token. Use the API TOKEN of your app (dashboard: Apps → Your App → API TOKEN).',
    ],
  ])('is refused with the place that it comes from: %s', async (_, secret, problem) => {
    const refusal = problem.replace('a string,', 'a string or a function,')
    expect(() => resolveSecret(secret, () => undefined)).toThrow(
      expect.objectContaining(configError(`appSecret ${refusal}`)),
    )
    expect(await failureOf(read(() => secret))).toMatchObject(
      configError(`The value that the app secret provider returned ${problem}`),
    )
    if (typeof secret === 'string' && secret !== '') {
      expect(await failureOf(read(undefined, secret))).toMatchObject(configError(`VKIT_APP_SECRET ${problem}`))
    }
  })

  it.each([undefined, ''])('causes VKIT_CONFIG at the first call if the environment has %j', async environment => {
    expect(await failureOf(read(undefined, environment))).toMatchObject(
      configError(
        'No app secret. Pass appSecret to VKitClient, or set VKIT_APP_SECRET (dashboard: Apps → Your App → API TOKEN).',
      ),
    )
  })

  it('is missing if the provider returns undefined, which may depend on the request', async () => {
    expect(await failureOf(read(() => undefined))).toMatchObject(
      configError(`The app secret provider returned undefined. ${PROVIDER_CONTEXT}`),
    )
  })

  it('does not appear in the error if the provider fails', async () => {
    const secret = 'the-secret-in-its-message'
    const error = await failureOf(read(() => Promise.reject(new TypeError(`cannot parse ${secret}`))))
    expect(error).toMatchObject({
      code: 'VKIT_CONFIG',
      message: `The app secret provider failed. Its own error is not shown, because it may contain the secret. ${PROVIDER_CONTEXT}`,
      cause: { name: 'TypeError' },
    })
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
