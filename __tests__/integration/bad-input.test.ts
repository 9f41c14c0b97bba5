import { describe, expect, it } from '@jest/globals'
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

describe('a call', () => {
  it.each<[string, unknown, unknown]>([
    ['an empty identity', '', undefined],
    ['a number as identity', 42, undefined],
    ['no identity', undefined, undefined],
    ['an identity with NUL', 'a\0b', undefined],
    ['half a surrogate pair', 'a\ud800', undefined],
    ['an identity of more than 1 KiB', 'x'.repeat(1025), undefined],
    ['scopes that are a string', 'user', 'videos.read'],
    ['scopes that hold an empty string', 'user', ['']],
    ['scopes that hold a number', 'user', { scopes: [1] }],
    ['scopes with a hole', 'user', new Array(1)],
    ['an unknown option', 'user', { scope: ['videos.read'] }],
    ['an unknown cache mode', 'user', { cache: 'force-cache' }],
    ['a deadline of 0', 'user', { deadlineMs: 0 }],
    ['a signal that is none', 'user', { signal: {} }],
  ])('refuses %s', async (_, identity, wishes) => {
    const gateway = await startGateway()
    const error = await failureOf(makeClient(gateway).getSessionToken(identity as string, wishes as string[]))
    expect(error).toBeInstanceOf(VKitArgumentError)
    expect(error).toMatchObject({ code: 'VKIT_INVALID_ARGUMENT', retryable: false, attempts: 0 })
    expect(gateway.requests).toHaveLength(0)
  })
})

describe('the constructor', () => {
  const sessionToken = `x.${Buffer.from('{"exp":1,"role":"session"}').toString('base64url')}.x`

  it.each<[string, object]>([
    ['an empty secret', { appSecret: '' }],
    ['null as secret', { appSecret: null }],
    ['a secret with a line break', { appSecret: `${SECRET}\n` }],
    ['a secret with spaces around', { appSecret: ` ${SECRET}` }],
    ['a secret outside ASCII', { appSecret: `${SECRET}é` }],
    ['a session token as secret', { appSecret: sessionToken }],
    ['plain http', { appSecret: SECRET, baseUrl: 'http://gateway.video.io' }],
    ['a base URL with credentials', { appSecret: SECRET, baseUrl: `https://user:${SECRET}@gateway.video.io` }],
    ['a base URL that is none', { appSecret: SECRET, baseUrl: SECRET }],
    ['a negative timeout', { appSecret: SECRET, timeoutMs: -1 }],
    ['a deadline that is not a number', { appSecret: SECRET, deadlineMs: NaN }],
    ['half a retry', { appSecret: SECRET, maxRetries: 0.5 }],
    ['no room in the cache', { appSecret: SECRET, cache: { maxEntries: 0 } }],
    ['more room than memory has', { appSecret: SECRET, cache: { maxEntries: 2 ** 31 } }],
    ['a store without methods', { appSecret: SECRET, cache: { store: {} } }],
    ['an agent that is none', { appSecret: SECRET, agent: { https: {} } }],
    ['a misspelt option', { appsecret: SECRET }],
    ['a secret in place of the options', SECRET as unknown as object],
  ])('refuses %s', (_, options) => {
    const error = errorOf(() => new VKitClient(options))
    expect(error).toBeInstanceOf(VKitConfigError)
    expect(error.code).toBe('VKIT_CONFIG')
    expectNoSecret(error)
  })

  it('takes no option from a polluted prototype', () => {
    Object.defineProperty(Object.prototype, 'baseUrl', { value: 'http://evil.example', configurable: true })
    try {
      expect(() => new VKitClient({ appSecret: SECRET })).not.toThrow()
    } finally {
      Reflect.deleteProperty(Object.prototype, 'baseUrl')
    }
  })
})

describe('the gateway', () => {
  const options = { appSecret: SECRET, maxRetries: 0 }

  it('unreachable: VKIT_CONNECTION', async () => {
    const gateway = await startGateway({ appSecret: SECRET })
    const client = makeClient(gateway, options)
    await gateway.stop()
    const error = await failureOf(client.getSessionToken('user'))
    expect(error).toBeInstanceOf(VKitConnectionError)
    expect(error).toMatchObject({ code: 'VKIT_CONNECTION', retryable: true, attempts: 1 })
    expectNoSecret(error)
  })

  it('answering 500 without JSON: VKIT_UNAVAILABLE', async () => {
    const gateway = await startGateway({ appSecret: SECRET })
    gateway.failNext({ status: 500, body: 'Internal Server Error' })
    const error = await failureOf(makeClient(gateway, options).getSessionToken('user'))
    expect(error).toBeInstanceOf(VKitServerError)
    expect(error).toMatchObject({ code: 'VKIT_UNAVAILABLE', retryable: true, status: 500 })
    expectNoSecret(error)
  })

  it('answering 200 with HTML: VKIT_INVALID_RESPONSE', async () => {
    const gateway = await startGateway({ appSecret: SECRET })
    gateway.failNext({ body: `<html>${SECRET}</html>` })
    const error = await failureOf(makeClient(gateway, options).getSessionToken('user'))
    expect(error).toBeInstanceOf(VKitResponseError)
    expect(error).toMatchObject({ code: 'VKIT_INVALID_RESPONSE', status: 200 })
    expect(error.message).not.toContain('html')
    expectNoSecret(error)
  })

  it('repeating the secret in an error object: told without it', async () => {
    const gateway = await startGateway({ appSecret: SECRET })
    gateway.failNext({ status: 422, body: { error: { message: `no app for ${SECRET}`, code: 7 } } })
    const error = await failureOf(makeClient(gateway, options).getSessionToken('user'))
    expect(error.message).toBe(`${gateway.url}/v1/sessions refused the request (422): 7 – no app for [redacted].`)
    expectNoSecret(error)
  })
})
