import http from 'node:http'
import https from 'node:https'
import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { resolveClientOptions } from '../../../lib/options/client-options.js'
import type { VKitClientOptions } from '../../../lib/options/types.js'

const nothing = (): void => undefined
const originalUrl = process.env['VKIT_BASE_URL']

afterEach(() => {
  if (originalUrl === undefined) delete process.env['VKIT_BASE_URL']
  else process.env['VKIT_BASE_URL'] = originalUrl
})

describe('the options of a client', () => {
  it('have defaults', () => {
    expect(resolveClientOptions({ appSecret: 'an-app-secret' })).toMatchObject({
      timeoutMs: 5_000,
      deadlineMs: 15_000,
      maxRetries: 2,
      maxConnections: 400,
      caching: true,
      maxEntries: 10_000,
      refreshAhead: 0.5,
      minValidityMs: undefined,
      store: undefined,
      agents: {},
      onEvent: undefined,
    })
  })

  it.each<[string, object, string]>([
    ['a misspelled name', { appsecret: 'x' }, 'did you mean "appSecret"?'],
    ['a misspelled cache option', { cache: { maxentries: 1 } }, 'did you mean "cache.maxEntries"?'],
    ['an array', [], 'The options must be an object'],
    ['negative retries', { maxRetries: -1 }, 'maxRetries must be a whole number from 0'],
    ['no connections', { maxConnections: 0 }, 'maxConnections must be a whole number from 1'],
    ['half an entry', { cache: { maxEntries: 0.5 } }, 'cache.maxEntries must be a whole number from 1'],
    ['a refresh after the expiry', { cache: { refreshAhead: 1.1 } }, 'cache.refreshAhead must be a number above 0'],
    [
      'a store without set',
      { cache: { store: { get: nothing, delete: nothing } } },
      'cache.store must have the methods',
    ],
    [
      'a single agent instead of { http, https }',
      { agent: new http.Agent() },
      'agent must be an object { http, https }',
    ],
    ['an http agent for https', { agent: { https: new http.Agent() } }, 'agent.https must be an https.Agent'],
    [
      'an agent that does not verify certificates',
      { agent: { https: new https.Agent({ rejectUnauthorized: false }) } },
      'agent.https has rejectUnauthorized: false',
    ],
    [
      'a clock that cannot sleep',
      { clock: { now: nothing, monotonic: nothing } },
      'clock must have now, monotonic and sleep',
    ],
    ['a listener that is a string', { onEvent: 'log' }, 'onEvent must be a function'],
  ])('refuse %s', (_, options, message) => {
    expect(() => resolveClientOptions(options as VKitClientOptions)).toThrow(message)
    expect(() => resolveClientOptions(options as VKitClientOptions)).toThrow(
      expect.objectContaining({ code: 'VKIT_CONFIG' }),
    )
  })

  it('refuse a store without Web Crypto', () => {
    const options = { appSecret: 'an-app-secret', cache: { store: new Map<string, string>() } }
    const original = Object.getOwnPropertyDescriptor(globalThis, 'crypto') ?? {}
    try {
      for (const value of [undefined, {}]) {
        Object.defineProperty(globalThis, 'crypto', { value, configurable: true })
        expect(() => resolveClientOptions(options)).toThrow('cache.store needs Web Crypto')
        expect(() => resolveClientOptions({ appSecret: 'an-app-secret' })).not.toThrow()
      }
    } finally {
      Object.defineProperty(globalThis, 'crypto', original)
    }
  })

  it('use Math.random even if a test replaces it later', () => {
    const { random } = resolveClientOptions({ appSecret: 'an-app-secret' })
    const spy = jest.spyOn(Math, 'random').mockReturnValue(0.25)
    try {
      expect(random()).toBe(0.25)
    } finally {
      spy.mockRestore()
    }
  })

  it('are refused without repeating an unknown name that may be the secret', () => {
    expect(() => resolveClientOptions({ 'eyJhbGciOiJIUzI1NiJ9.e30.c2ln': 1 } as VKitClientOptions)).toThrow(
      /^Unknown option\. Known options: appSecret, /,
    )
  })
})

describe('the endpoint of the gateway', () => {
  it.each([
    [undefined, 'https://gateway.video.io/v1/sessions'],
    ['https://gateway.example/', 'https://gateway.example/v1/sessions'],
    ['https://gateway.example/eu/', 'https://gateway.example/eu/v1/sessions'],
    [new URL('http://[::1]:8080'), 'http://[::1]:8080/v1/sessions'],
    ['http://127.0.0.1:80', 'http://127.0.0.1/v1/sessions'],
  ])('for the baseUrl %s is %s', (baseUrl, href) => {
    delete process.env['VKIT_BASE_URL']
    expect(resolveClientOptions({ baseUrl }).endpoint().href).toBe(href)
  })

  it('comes from the environment, which is read at the first call', () => {
    const { endpoint } = resolveClientOptions({})
    process.env['VKIT_BASE_URL'] = 'https://gateway.example'
    expect(endpoint().href).toBe('https://gateway.example/v1/sessions')
    process.env['VKIT_BASE_URL'] = 'https://other.example'
    expect(endpoint().href).toBe('https://gateway.example/v1/sessions')
  })

  it.each([
    ['ftp://gateway.example', 'must begin with https://'],
    ['http://gateway.example', 'must begin with https://'],
    ['http://127.0.0.1.evil.example', 'must begin with https://'],
    ['https://user:password@gateway.example', 'must not contain credentials'],
    ['https://gateway.example?a=1', 'must not contain credentials, a query or a fragment'],
    ['gateway', 'is not a URL'],
  ])('is refused for the baseUrl %s', (baseUrl, message) => {
    expect(() => resolveClientOptions({ baseUrl })).toThrow(`baseUrl ${message}`)
  })
})
