import { describe, expect, it } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import { VKitConfigError, VKitTimeoutError } from '../../../lib/core/errors.js'
import { isEmulatorSecret, isSessionToken, isVisibleAscii, resolveSecret } from '../../../lib/secret/app-secret.js'
import { assertNoSecret, FakeClock, GatewayEmulator } from '../../../lib/testing/index.js'
import { failureOf } from '../../support/failure.js'

const jwt = (claims: object): string =>
  [{ alg: 'HS256' }, claims].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.') + '.c2ln'
const deadline = (): Deadline => new Deadline(new FakeClock(), 1_000, () => new VKitTimeoutError('late'))
const configError = (message: string): object => ({ code: 'VKIT_CONFIG', message })
const ignore = (): undefined => undefined
const read = (given: unknown, environment?: string): Promise<string> =>
  resolveSecret(given, () => environment, ignore).read(deadline())

describe('the app secret', () => {
  it('is the given text, the result of the given function, or the environment variable', async () => {
    expect(await read('given', 'environment')).toBe('given')
    expect(await read(() => 'from-a-function', 'environment')).toBe('from-a-function')
    expect(await read(async () => Promise.resolve('from-a-promise'))).toBe('from-a-promise')
    expect(await read(undefined, 'environment')).toBe('environment')
  })

  it('may change only if it comes from a function', () => {
    const rotates = (given: unknown): boolean => resolveSecret(given, () => 'secret', ignore).rotates
    expect([() => 'secret', 'secret', undefined].map(rotates)).toEqual([true, false, false])
  })

  it('is read from the environment once', async () => {
    let environment: string | undefined = 'first'
    const source = resolveSecret(undefined, () => environment, ignore)
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
    expect(() => resolveSecret(secret, ignore, ignore)).toThrow(
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

describe('the app secret that must not be sent', () => {
  const refuse = (): never => {
    throw new VKitConfigError('not sendable')
  }

  it.each([
    ['given', 'a-secret', undefined],
    ['of a function', () => 'a-secret', undefined],
    ['of the environment', undefined, 'a-secret'],
  ])('is refused when it is read, and not kept: %s', async (_, given, environment) => {
    const source = resolveSecret(given, () => environment, refuse)
    for (const call of [source.read(deadline()), source.read(deadline()), source.renew(deadline())]) {
      expect(await failureOf(call)).toMatchObject(configError('not sendable'))
    }
    expect(source.latest).toBeUndefined()
  })

  it('does not replace an earlier one', async () => {
    const [first, second] = ['an-emulator-secret', 'a-real-secret']
    const secrets = [first, second]
    const assertSendable = (secret: string): void => (secret === second ? refuse() : undefined)
    const source = resolveSecret(() => secrets.shift(), ignore, assertSendable)
    expect(await source.read(deadline())).toBe(first)
    expect(await failureOf(source.renew(deadline()))).toMatchObject(configError('not sendable'))
    expect(source.latest).toBe(first)
  })
})

describe('isEmulatorSecret', () => {
  it.each<[string, string, boolean]>([
    ['an app secret of an emulator', new GatewayEmulator().appSecret, true],
    ['the claim only', jwt({ vkit_emulator: true }), true],
    ['an app secret', jwt({ role: 'app', iat: 1, iss: 'video.io' }), false],
    ...[false, 1, 'true', null, {}].map((claim): [string, string, boolean] => [
      `the claim ${JSON.stringify(claim)}`,
      jwt({ vkit_emulator: claim }),
      false,
    ]),
    ['the claim in another claim', jwt({ app: { vkit_emulator: true } }), false],
    ['the claim of the prototype', jwt(JSON.parse('{ "__proto__": { "vkit_emulator": true } }') as object), false],
    ['opaque text', 'vkit_emulator', false],
    ['empty text', '', false],
  ])('recognizes %s', (_, text, expected) => {
    expect(isEmulatorSecret(text)).toBe(expected)
  })

  it.each([jwt({ role: 'app' }), 'opaque'])('ignores the claim on Object.prototype: %s', secret => {
    Object.defineProperty(Object.prototype, 'vkit_emulator', { value: true, configurable: true })
    try {
      expect(isEmulatorSecret(secret)).toBe(false)
    } finally {
      Reflect.deleteProperty(Object.prototype, 'vkit_emulator')
    }
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
