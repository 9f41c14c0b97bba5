import http from 'node:http'
import https from 'node:https'
import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import { VKitTimeoutError } from '../../../lib/core/errors.js'
import { resolveClientOptions } from '../../../lib/options/client-options.js'
import type { VKitClientOptions } from '../../../lib/options/types.js'
import type { TokenStore } from '../../../lib/store/token-store.js'
import { FakeClock } from '../../../lib/testing/index.js'

const nothing = (): void => undefined
const store = { get: nothing, set: nothing, delete: nothing }
const CLIENT_KEYS =
  'appSecret, baseUrl, timeoutMs, deadlineMs, maxRetries, maxConnections, cache, agent, fetch, onEvent, clock'
const CACHE_KEYS = 'maxEntries, refreshAhead, minValidityMs, store'
const DURATION = 'must be a number of milliseconds above 0 and at most 2147483647.'

const VARIABLES = ['VKIT_APP_SECRET', 'VKIT_BASE_URL', 'VKIT_DEBUG']
const original = { ...process.env }

afterEach(() => {
  for (const name of VARIABLES) {
    if (original[name] === undefined) Reflect.deleteProperty(process.env, name)
    else process.env[name] = original[name]
  }
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

  it('may be the highest and the lowest that have a meaning', () => {
    const highest = {
      ...{ timeoutMs: 2 ** 31 - 1, deadlineMs: 0.5, maxRetries: 0, maxConnections: 10_000_000 },
      ...{ maxEntries: 1, refreshAhead: 1, minValidityMs: 0 },
    }
    const { maxEntries, refreshAhead, minValidityMs, ...client } = highest
    expect(resolveClientOptions({ ...client, cache: { maxEntries, refreshAhead, minValidityMs } })).toMatchObject(
      highest,
    )
  })

  it('may be a clock, a listener, a store with or without both methods of a pair, and an agent of each kind', () => {
    const whole = { ...store, acquireLease: nothing, releaseLease: nothing, publish: nothing, subscribe: nothing }
    const [clock, agent] = [new FakeClock(), { http: new http.Agent(), https: new https.Agent() }]
    for (const each of [store, whole]) {
      const cache = { store: each as unknown as TokenStore }
      const options = resolveClientOptions({ clock, onEvent: nothing, agent, cache })
      expect(options).toMatchObject({ clock, agents: agent, store: each })
      expect(options.onEvent).toBe(nothing)
    }
  })

  it('turn the cache off with false', () => {
    expect(resolveClientOptions({ cache: false })).toMatchObject({ caching: false, store: undefined })
  })

  it('take the secret and the debug log from the environment', async () => {
    process.env['VKIT_APP_SECRET'] = 'from-the-environment'
    process.env['VKIT_DEBUG'] = 'circuit-open'
    const { secret, onEvent } = resolveClientOptions({})
    const deadline = new Deadline(new FakeClock(), 1_000, () => new VKitTimeoutError('late'))
    expect(await secret.read(deadline)).toBe('from-the-environment')
    expect(typeof onEvent).toBe('function')
  })

  it.each<[string, object, string]>([
    [
      'a misspelled name',
      { appsecret: 'x' },
      `Unknown option "appsecret": did you mean "appSecret"? Known options: ${CLIENT_KEYS}.`,
    ],
    ['an unknown name', { color: 'x' }, `Unknown option "color". Known options: ${CLIENT_KEYS}.`],
    [
      'a name that may be a secret',
      { 'eyJhbGciOiJIUzI1NiJ9.e30.c2ln': 1 },
      `Unknown option. Known options: ${CLIENT_KEYS}.`,
    ],
    ['a long name, which may be a secret', { ['a'.repeat(25)]: 1 }, `Unknown option. Known options: ${CLIENT_KEYS}.`],
    [
      'a misspelled cache option',
      { cache: { maxentries: 1 } },
      `Unknown option "cache.maxentries": did you mean "cache.maxEntries"? Known options: ${CACHE_KEYS}.`,
    ],
    ['an unknown cache option', { cache: { color: 1 } }, `Unknown option "cache.color". Known options: ${CACHE_KEYS}.`],
    ['an array', [], 'The options must be an object.'],
    ['text', 'secret' as unknown as object, 'The options must be an object.'],
    ['a cache that is true', { cache: true }, 'cache must be an object.'],
    [
      'a cache that is a Map',
      { cache: new Map() },
      'cache must be a plain object, not an iterable; pass scopes as an array.',
    ],
    [
      'inherited cache options',
      { cache: Object.create({ store: 1 }) as object },
      'cache must have own properties: the inherited property "cache.store" is not used.',
    ],
    ['a timeout of 0', { timeoutMs: 0 }, `timeoutMs ${DURATION}`],
    ['a deadline that is text', { deadlineMs: '5000' }, `deadlineMs ${DURATION}`],
    ['a deadline above the maximum of a timer', { deadlineMs: 2 ** 31 }, `deadlineMs ${DURATION}`],
    ['negative retries', { maxRetries: -1 }, 'maxRetries must be a whole number from 0 to 10000000.'],
    ['no connections', { maxConnections: 0 }, 'maxConnections must be a whole number from 1 to 10000000.'],
    ['connections as text', { maxConnections: '5' }, 'maxConnections must be a whole number from 1 to 10000000.'],
    ['half an entry', { cache: { maxEntries: 0.5 } }, 'cache.maxEntries must be a whole number from 1 to 10000000.'],
    [
      'more entries than memory',
      { cache: { maxEntries: 10_000_001 } },
      'cache.maxEntries must be a whole number from 1 to 10000000.',
    ],
    ...[1.1, 0, '0.5'].map((refreshAhead): [string, object, string] => [
      `a refresh at ${JSON.stringify(refreshAhead)}`,
      { cache: { refreshAhead } },
      'cache.refreshAhead must be a number above 0 and at most 1.',
    ]),
    ...[-1, '5', Infinity, NaN].map((minValidityMs): [string, object, string] => [
      `a minimum validity of type ${typeof minValidityMs}, ${minValidityMs}`,
      { cache: { minValidityMs } },
      'cache.minValidityMs must be a number of milliseconds, 0 or more.',
    ]),
    ...[null, { get: nothing, delete: nothing }].map((unusable): [string, object, string] => [
      'a store without set',
      { cache: { store: unusable } },
      'cache.store must have the methods get, set and delete.',
    ]),
    [
      'a store with one method of leases',
      { cache: { store: { ...store, releaseLease: nothing } } },
      'cache.store must have both acquireLease and releaseLease, or neither.',
    ],
    [
      'a store with one method of messages',
      { cache: { store: { ...store, publish: nothing } } },
      'cache.store must have both publish and subscribe, or neither.',
    ],
    ...['now', 'monotonic', 'sleep'].map((name): [string, object, string] => [
      `a clock without ${name}`,
      { clock: Object.assign(new FakeClock(), { [name]: undefined }) },
      'clock must have now, monotonic and sleep.',
    ]),
    ['a listener that is a string', { onEvent: 'log' }, 'onEvent must be a function.'],
  ])('refuse %s', (_, options, message) => {
    expect(() => resolveClientOptions(options as VKitClientOptions)).toThrow(
      expect.objectContaining({ code: 'VKIT_CONFIG', message }),
    )
  })

  it('refuse a store without Web Crypto', () => {
    const options = { appSecret: 'an-app-secret', cache: { store: new Map<string, string>() } }
    const original = Object.getOwnPropertyDescriptor(globalThis, 'crypto') ?? {}
    try {
      for (const value of [undefined, {}, { subtle: {} }]) {
        Object.defineProperty(globalThis, 'crypto', { value, configurable: true })
        expect(() => resolveClientOptions(options)).toThrow(
          expect.objectContaining({ message: 'cache.store needs Web Crypto, and this runtime has no crypto.subtle.' }),
        )
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
})
