import { describe, expect, it } from '@jest/globals'
import http from 'node:http'
import https from 'node:https'
import { inspect } from 'node:util'
import {
  VKitArgumentError,
  VKitClient,
  VKitConfigError,
  VKitConnectionError,
  VKitError,
  VKitResponseError,
  VKitServerError,
} from '../../lib/index.js'
import { assertNoSecret } from '../../lib/testing/index.js'
import { failureOf } from '../support/failure.js'
import { makeClient, startGateway } from '../support/gateway.js'

const SECRET = 'sk-THE-APP-SECRET'

function errorOf(make: () => unknown): VKitError {
  try {
    make()
  } catch (error) {
    if (VKitError.is(error)) return error
  }
  throw new Error('expected a VKitError')
}

function expectNoSecret(error: VKitError): void {
  const shown = inspect(error, { depth: null, showHidden: true }) + JSON.stringify(error) + String(error.stack)
  expect(shown).not.toContain(SECRET)
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

function throwingList(): string[] {
  return new Proxy(['videos.read'], {
    get: () => {
      throw new Error('trap')
    },
  })
}

class ScopedOptions {
  get scopes(): string[] {
    return ['videos.read']
  }
}

function brokenSignal(member: 'aborted' | 'addEventListener'): AbortSignal {
  const { signal } = new AbortController()
  const get = (): never => {
    throw new Error('broken')
  }
  return Object.defineProperty(signal, member, member === 'aborted' ? { get } : { value: get })
}

describe('a call', () => {
  it.each<[string, unknown, unknown]>([
    ['an empty identity', '', undefined],
    ['a number as identity', 42, undefined],
    ['no identity', undefined, undefined],
    ['an identity with NUL', 'a\0b', undefined],
    ['half a surrogate pair', 'a\ud800', undefined],
    ['an identity of more than 1 KiB', 'x'.repeat(1025), undefined],
    ['a string as scopes', 'user', 'videos.read'],
    ['scopes with an empty string', 'user', ['']],
    ['scopes with a number', 'user', { scopes: [1] }],
    ['scopes with a hole', 'user', new Array(1)],
    ['an unknown option', 'user', { scope: ['videos.read'] }],
    ['an unknown cache mode', 'user', { cache: 'force-cache' }],
    ['a deadline of 0', 'user', { deadlineMs: 0 }],
    ['a signal that is not an AbortSignal', 'user', { signal: {} }],
    ['a Set of scopes', 'user', new Set(['videos.read'])],
    ['a Map of options', 'user', new Map([['scopes', ['videos.read']]])],
    ['a Promise of options', 'user', Promise.resolve({})],
    ['options whose members are getters of a class', 'user', new ScopedOptions()],
    [
      'options with inherited scopes and own properties',
      'user',
      Object.assign(new ScopedOptions(), { cache: 'reload' }),
    ],
    ['scopes that are a Set', 'user', { scopes: new Set(['videos.read']) }],
    ['a revoked proxy as options', 'user', revoked()],
    ['a revoked proxy as scopes', 'user', { scopes: revoked() }],
    ['a revoked proxy as identity', revoked(), undefined],
    ['scopes that are a throwing proxy', 'user', throwingList()],
    ['a signal whose state cannot be read', 'user', { signal: brokenSignal('aborted') }],
    ['a signal that cannot be listened to', 'user', { signal: brokenSignal('addEventListener') }],
    ['undefined converted to a string', String(undefined), undefined],
    ['null converted to a string', String(null), undefined],
    ['NaN converted to a string', String(NaN), undefined],
    ['a Promise converted to a string', '[object Promise]', undefined],
    ['an object converted to a string', '[object Object]', undefined],
    ['an object converted to a part of a string', '[object Object]-1', undefined],
  ])('refuses %s', async (_, identity, options) => {
    const gateway = await startGateway()
    const error = await failureOf(makeClient(gateway).getSessionToken(identity as string, options as string[]))
    expect(error).toBeInstanceOf(VKitArgumentError)
    expect(error).toMatchObject({ code: 'VKIT_INVALID_ARGUMENT', retryable: false, attempts: 0 })
    expect(gateway.requests).toHaveLength(0)
  })
})

describe('a call with a small mistake', () => {
  it.each<[string, unknown, RegExp]>([
    ['a string as scopes', 'videos.read', /scopes must be an array of strings, such as \['videos\.read'\]/],
    ['a misspelt option', { scope: ['videos.read'] }, /"scope": did you mean "scopes"\? Known options: /],
    ['an option in another style', { 'deadline-ms': 5 }, /did you mean "deadlineMs"\?/],
  ])('fails with a message that names the fix: %s', async (_, options, message) => {
    const error = await failureOf(new VKitClient({ appSecret: SECRET }).getSessionToken('user', options as string[]))
    expect(error.message).toMatch(message)
  })

  it('works with a signal whose removeEventListener throws', async () => {
    const { signal } = new AbortController()
    signal.removeEventListener = () => {
      throw new Error('broken')
    }
    const gateway = await startGateway()
    expect((await makeClient(gateway).getSessionToken('user', { signal })).identity).toBe('user')
  })

  it('does not repeat an unknown option that may be the secret', async () => {
    const error = await failureOf(
      new VKitClient({ appSecret: SECRET }).getSessionToken('user', { [SECRET]: 1 } as object),
    )
    expect(error.message).toMatch(/^Unknown option\. Known options: /)
    expectNoSecret(error)
  })
})

describe('a method without its client', () => {
  const methods = ['getSessionToken', 'invalidate', 'close', 'stats', 'getSessionTokens'] as const

  it.each(
    methods.flatMap(method => (['taken from its client', 'of a proxy'] as const).map(how => [method, how] as const)),
  )('%s, %s, fails with a message that explains why', async (method, how) => {
    const client = new VKitClient({ appSecret: SECRET })
    const owner: unknown = how === 'of a proxy' ? new Proxy(client, {}) : undefined
    const call = async (): Promise<unknown> => {
      const made: unknown = Reflect.apply(Reflect.get(client, method) as () => unknown, owner, [['user']])
      return method === 'getSessionTokens' ? (made as AsyncGenerator).next() : made
    }
    const error = await failureOf(call())
    expect(error).toMatchObject({ code: 'VKIT_INVALID_ARGUMENT', retryable: false })
    expect(error.message).toContain(`${method} was called without its client`)
  })
})

describe('the stack of an error', () => {
  const first = (error: VKitError): string | undefined => error.stack?.split('\n').find(line => /^\s+at /.test(line))
  const here = /bad-input\.test\.ts/

  it('begins with the line that made the call', async () => {
    const gateway = await startGateway({ appSecret: SECRET })
    gateway.fail({ status: 503 })
    const client = makeClient(gateway, { maxRetries: 0 })
    for (const cache of ['default', 'no-store', 'reload'] as const) {
      const call = async (): Promise<unknown> => await client.getSessionToken('user', { cache })
      const error = await failureOf(call())
      expect(first(error)).toMatch(here)
      expectNoSecret(error)
    }
    const invalidate = async (): Promise<void> => await client.invalidate('')
    expect(first(await failureOf(invalidate()))).toMatch(here)
    expect(first(errorOf(() => new VKitClient({ timeoutMs: -1 })))).toMatch(here)
    for await (const { error } of client.getSessionTokens(['user'], { onOutage: 'fail' })) {
      expect(error && first(error)).toMatch(here)
    }
  })
})

describe('a client', () => {
  it('does not show the secret or a token, however it is printed or copied', async () => {
    const gateway = await startGateway({ appSecret: SECRET })
    const client = makeClient(gateway)
    const { sessionToken } = await client.getSessionToken('user')
    const shown = [
      inspect(client, { depth: null, showHidden: true, getters: true }),
      JSON.stringify(client),
      inspect(structuredClone(client), { depth: null, showHidden: true }),
    ]
    for (const hidden of [SECRET, sessionToken]) assertNoSecret([client, shown], hidden)
    expect(JSON.stringify(client)).toBe('{}')
  })
})

describe('an error of the caller', () => {
  it.each([true, false])('is passed on unchanged as the reason of a signal (frozen: %s)', async isFrozen => {
    const gateway = await startGateway()
    gateway.fail({ silence: true })
    const client = makeClient(gateway)
    const reason = new VKitServerError('mine')
    const { stack } = reason
    if (isFrozen) Object.freeze(reason)
    const controller = new AbortController()
    const calls = [
      client.getSessionToken('user', { signal: controller.signal }),
      client.getSessionToken('other', { signal: controller.signal, cache: 'no-store' }),
      client.getSessionTokens(['third'], { signal: controller.signal }).next(),
    ]
    controller.abort(reason)
    for (const call of calls) expect(await failureOf(call)).toBe(reason)
    expect(reason.stack).toBe(stack)
  })

  it('is reported correctly even if Error.prepareStackTrace throws', async () => {
    const before: unknown = Reflect.get(Error, 'prepareStackTrace')
    Error.prepareStackTrace = () => {
      throw new Error('not like this')
    }
    try {
      expect((await failureOf(new VKitClient().getSessionToken(''))).code).toBe('VKIT_INVALID_ARGUMENT')
    } finally {
      Reflect.set(Error, 'prepareStackTrace', before)
    }
  })
})

describe('the constructor', () => {
  const sessionToken = `x.${Buffer.from('{"exp":1,"role":"session"}').toString('base64url')}.x`

  it.each<[string, object]>([
    ['an empty secret', { appSecret: '' }],
    ['null as secret', { appSecret: null }],
    ['a secret with a line break', { appSecret: `${SECRET}\n` }],
    ['a secret with surrounding spaces', { appSecret: ` ${SECRET}` }],
    ['a secret outside ASCII', { appSecret: `${SECRET}é` }],
    ['a session token as secret', { appSecret: sessionToken }],
    ['plain http', { appSecret: SECRET, baseUrl: 'http://gateway.video.io' }],
    ['a base URL with credentials', { appSecret: SECRET, baseUrl: `https://user:${SECRET}@gateway.video.io` }],
    ['a base URL that is not a URL', { appSecret: SECRET, baseUrl: SECRET }],
    ['a negative timeout', { appSecret: SECRET, timeoutMs: -1 }],
    ['a deadline that is not a number', { appSecret: SECRET, deadlineMs: NaN }],
    ['a fractional maxRetries', { appSecret: SECRET, maxRetries: 0.5 }],
    ['a maxEntries of 0', { appSecret: SECRET, cache: { maxEntries: 0 } }],
    ['a maxEntries of 2 ** 31', { appSecret: SECRET, cache: { maxEntries: 2 ** 31 } }],
    ['a store without methods', { appSecret: SECRET, cache: { store: {} } }],
    ['an agent that is not an Agent', { appSecret: SECRET, agent: { https: {} } }],
    ['a misspelt option', { appsecret: SECRET }],
    ['a secret in double quotes', { appSecret: `"${SECRET}"` }],
    ['a secret in single quotes', { appSecret: `'${SECRET}'` }],
    ['the text undefined as secret', { appSecret: 'undefined' }],
    ['the text null as secret', { appSecret: 'null' }],
    ['an agent instead of { http, https }', { appSecret: SECRET, agent: new http.Agent() }],
    ['an http.Agent for https', { appSecret: SECRET, agent: { https: new http.Agent() } }],
    ['an agent without certificate checks', { agent: { https: new https.Agent({ rejectUnauthorized: false }) } }],
    ['a Map instead of the options', new Map([['appSecret', SECRET]])],
    ['inherited options', Object.create({ appSecret: SECRET }) as object],
    ['a revoked proxy', revoked()],
    ['a secret instead of the options', SECRET as unknown as object],
  ])('refuses %s', (_, options) => {
    const error = errorOf(() => new VKitClient(options))
    expect(error).toBeInstanceOf(VKitConfigError)
    expect(error.code).toBe('VKIT_CONFIG')
    expectNoSecret(error)
  })

  it.each<[string, object, RegExp]>([
    ['app_secret', { app_secret: SECRET }, /"app_secret": did you mean "appSecret"\?/],
    ['timeout', { timeout: 5 }, /"timeout": did you mean "timeoutMs"\?/],
    ['cache.ttl', { cache: { ttl: 5 } }, /Unknown option "cache\.ttl"\. Known options: maxEntries, /],
    ['agent: new http.Agent()', { agent: new http.Agent() }, /agent must be an object \{ http, https \} of agents/],
    ['appSecret in quotes', { appSecret: `"${SECRET}"` }, /appSecret is in quotes/],
    [
      'appSecret: "undefined"',
      { appSecret: 'undefined' },
      /appSecret is the string of a missing value, such as "undefined"/,
    ],
  ])('names the fix for %s', (_, options, message) => {
    expect(errorOf(() => new VKitClient(options)).message).toMatch(message)
  })

  it('reads no option from a polluted prototype', () => {
    Object.defineProperty(Object.prototype, 'baseUrl', { value: 'http://evil.example', configurable: true })
    try {
      expect(() => new VKitClient({ appSecret: SECRET })).not.toThrow()
    } finally {
      Reflect.deleteProperty(Object.prototype, 'baseUrl')
    }
  })
})

describe('when the gateway', () => {
  const options = { appSecret: SECRET, maxRetries: 0 }

  it('is unreachable, a call fails with VKIT_CONNECTION', async () => {
    const gateway = await startGateway({ appSecret: SECRET })
    const client = makeClient(gateway, options)
    await gateway.stop()
    const error = await failureOf(client.getSessionToken('user'))
    expect(error).toBeInstanceOf(VKitConnectionError)
    expect(error).toMatchObject({ code: 'VKIT_CONNECTION', retryable: true, attempts: 1 })
    expectNoSecret(error)
  })

  it('returns 500 without JSON, a call fails with VKIT_UNAVAILABLE', async () => {
    const gateway = await startGateway({ appSecret: SECRET })
    gateway.failNext({ status: 500, body: 'Internal Server Error' })
    const error = await failureOf(makeClient(gateway, options).getSessionToken('user'))
    expect(error).toBeInstanceOf(VKitServerError)
    expect(error).toMatchObject({ code: 'VKIT_UNAVAILABLE', retryable: true, status: 500 })
    expectNoSecret(error)
  })

  it('returns 200 with HTML, a call fails with VKIT_INVALID_RESPONSE', async () => {
    const gateway = await startGateway({ appSecret: SECRET })
    gateway.failNext({ body: `<html>${SECRET}</html>` })
    const error = await failureOf(makeClient(gateway, options).getSessionToken('user'))
    expect(error).toBeInstanceOf(VKitResponseError)
    expect(error).toMatchObject({ code: 'VKIT_INVALID_RESPONSE', status: 200 })
    expect(error.message).not.toContain('html')
    expectNoSecret(error)
  })

  it.each([
    ['test', 'test-user'],
    ['acme', 'acme:42'],
  ])('has the short secret %s, the user %s is served', async (appSecret, identity) => {
    const gateway = await startGateway({ appSecret })
    expect((await makeClient(gateway).getSessionToken(identity)).identity).toBe(identity)
  })

  it.each(['sessionToken', 'expiresAt'])(
    'returns the secret as %s, a call fails with VKIT_INVALID_RESPONSE',
    async member => {
      const gateway = await startGateway({ appSecret: SECRET })
      gateway.failNext({ answer: { [member]: `x ${SECRET}` } })
      const error = await failureOf(makeClient(gateway, options).getSessionToken('user'))
      expect(error).toMatchObject({ code: 'VKIT_INVALID_RESPONSE', retryable: false, status: 200 })
      expectNoSecret(error)
    },
  )

  it('repeats the secret in an error object, the message redacts it', async () => {
    const gateway = await startGateway({ appSecret: SECRET })
    gateway.failNext({ status: 422, body: { error: { message: `no app for ${SECRET}`, code: 7 } } })
    const error = await failureOf(makeClient(gateway, options).getSessionToken('user'))
    expect(error.message).toBe(`${gateway.url}/v1/sessions refused the request (422): 7 – no app for [redacted].`)
    expectNoSecret(error)
  })
})
