import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from '@jest/globals'
import { KeyMemo } from '../../../lib/cache/cache-key.js'
import {
  bulkCall,
  copyScopes,
  resolveBatch,
  resolveCall,
  resolveClose,
  resolveInvalidation,
  resolveRequest,
  resolveWarmUp,
} from '../../../lib/options/call-options.js'
import type { CloseOptions } from '../../../lib/options/types.js'

const CALL_KEYS = 'scopes, signal, deadlineMs, timeoutMs, maxRetries, minValidityMs, cache, waitUntil'
const DURATION = 'must be a number of milliseconds above 0 and at most 2147483647.'
const { signal } = new AbortController()
const method = (): void => undefined
const OTHER_SIGNAL = { aborted: true, addEventListener: method, removeEventListener: method, throwIfAborted: method }
const NO_SIGNALS: readonly unknown[] = [
  ...['signal', null, {}, method],
  ...Object.keys(OTHER_SIGNAL).map(name => ({ ...OTHER_SIGNAL, [name]: undefined })),
]
const invalid = (message: string): unknown => expect.objectContaining({ code: 'VKIT_INVALID_ARGUMENT', message })

const defaults = { caching: true, deadlineMs: 15_000, timeoutMs: 5_000, maxRetries: 2 }

describe('the options of a call', () => {
  it('default to those of the client', () => {
    expect(resolveCall(undefined, defaults)).toEqual({
      scopes: undefined,
      mode: 'default',
      signal: undefined,
      deadlineMs: 15_000,
      minValidityMs: undefined,
      limits: undefined,
      isBulk: false,
      onJoin: undefined,
      waitUntil: undefined,
    })
  })

  it('are used as given', () => {
    const waitUntil = (): void => undefined
    const options = { signal, deadlineMs: 2 ** 31 - 1, minValidityMs: 0, waitUntil }
    expect(resolveCall({ ...options, scopes: ['a'], cache: 'reload' }, defaults)).toEqual({
      ...options,
      scopes: ['a'],
      mode: 'reload',
      limits: undefined,
      isBulk: false,
      onJoin: undefined,
    })
    for (const cache of ['default', 'reload', 'no-store']) expect(resolveCall({ cache }, defaults).mode).toBe(cache)
    expect(resolveCall({ signal: OTHER_SIGNAL }, defaults).signal).toBe(OTHER_SIGNAL)
  })

  it('of a batch are those of the default mode, marked as bulk', () => {
    const { isBulk, ...others } = bulkCall(7_000)
    expect(isBulk).toBe(true)
    expect({ ...others, isBulk: false, scopes: undefined }).toEqual(resolveCall({ deadlineMs: 7_000 }, defaults))
  })

  it('are own properties of each call, because Object.prototype may have any', () => {
    const names = Object.keys(resolveCall(undefined, defaults)).sort()
    expect(Object.keys(resolveCall({ deadlineMs: 1 }, defaults)).sort()).toEqual(names)
  })

  it.each([
    [{ timeoutMs: 7_000 }, { timeoutMs: 7_000, maxRetries: 2 }],
    [{ maxRetries: 0 }, { timeoutMs: 5_000, maxRetries: 0 }],
    [{ timeoutMs: undefined, maxRetries: undefined }, undefined],
  ])('may change the limits of the attempts: %j', (options, limits) => {
    expect(resolveCall(options, defaults).limits).toEqual(limits)
  })

  it('may be only the scopes, which are sorted and deduplicated', () => {
    const { scopes } = resolveRequest('user', resolveCall(['b', 'a', 'b'], defaults).scopes)
    expect(scopes).toEqual(['a', 'b'])
    expect(Object.isFrozen(scopes)).toBe(true)
  })

  it('may be scopes of any type, which are refused later with an example', () => {
    expect(resolveCall('videos.read', defaults).scopes).toBe('videos.read')
  })

  it("use the cache mode 'no-store' for a client without a cache", () => {
    expect(resolveCall({ cache: 'reload' }, { ...defaults, caching: false }).mode).toBe('no-store')
  })

  it('are read once each, and only own ones', () => {
    let reads = 0
    const options = Object.defineProperty({ cache: undefined }, 'deadlineMs', { get: () => ++reads, enumerable: true })
    Object.defineProperty(Object.prototype, 'minValidityMs', { value: 7, configurable: true })
    Object.defineProperty(Object.prototype, 'scopes', { value: ['a'], configurable: true, enumerable: true })
    try {
      expect(resolveCall(options, defaults)).toMatchObject({
        mode: 'default',
        scopes: undefined,
        deadlineMs: 1,
        minValidityMs: undefined,
      })
      expect(resolveCall(['a'], defaults).minValidityMs).toBeUndefined()
    } finally {
      for (const name of ['minValidityMs', 'scopes']) Reflect.deleteProperty(Object.prototype, name)
    }
    expect(reads).toBe(1)
  })

  it.each<[string, unknown, string]>([
    [
      'a misspelled name',
      { deadline: 1 },
      `Unknown option "deadline": did you mean "deadlineMs"? Known options: ${CALL_KEYS}.`,
    ],
    ['an unknown name', { color: 1 }, `Unknown option "color". Known options: ${CALL_KEYS}.`],
    ['a deadline of 0', { deadlineMs: 0 }, `deadlineMs ${DURATION}`],
    ['a deadline above the maximum of a timer', { deadlineMs: 2 ** 31 }, `deadlineMs ${DURATION}`],
    ['a timeout of 0', { timeoutMs: 0 }, `timeoutMs ${DURATION}`],
    ['a timeout that is a string', { timeoutMs: '5' }, `timeoutMs ${DURATION}`],
    ['a negative number of retries', { maxRetries: -1 }, 'maxRetries must be a whole number from 0 to 10000000.'],
    ['half a retry', { maxRetries: 0.5 }, 'maxRetries must be a whole number from 0 to 10000000.'],
    ['a negative validity', { minValidityMs: -1 }, 'minValidityMs must be a number of milliseconds, 0 or more.'],
    ['a symbol as validity', { minValidityMs: Symbol() }, 'minValidityMs must be a number of milliseconds, 0 or more.'],
    ['an unknown cache mode', { cache: 'never' }, "cache must be 'default', 'reload' or 'no-store'."],
    ['a waitUntil that is not a function', { waitUntil: { method } }, 'waitUntil must be a function.'],
    ['a number', 42, 'The options must be an object.'],
    [
      'inherited options',
      Object.create({ scopes: ['a'] }) as object,
      'The options must have own properties: the inherited property "scopes" is not used.',
    ],
    ['an iterable', new Set(['a']), 'The options must be a plain object, not an iterable; pass scopes as an array.'],
    ...NO_SIGNALS.map((other): [string, unknown, string] => [
      'a signal that is not an AbortSignal',
      { signal: other },
      'signal must be an AbortSignal.',
    ]),
  ])('refuse %s', (_, options, message) => {
    expect(() => resolveCall(options, defaults)).toThrow(invalid(message))
  })

  it('are refused without showing the error that a getter throws', () => {
    const options = {
      get scopes(): never {
        return fail()
      },
    }
    expect(() => resolveCall(options, defaults)).toThrow(
      new Error('The options cannot be read: a getter or a proxy throws.'),
    )
  })
})

describe('an identity', () => {
  it.each(['user', 'ü', '__proto__', ' ', 'a'.repeat(1024), '[object', 'nullable'])('may be %j', identity => {
    expect(resolveRequest(identity, undefined).identity).toBe(identity)
  })

  const UNSET = 'your code converted a missing value or an object to a string.'
  it.each<[unknown, string]>([
    [42, 'must be a string, not of type number.'],
    [null, 'must be a string, not null.'],
    [['user'], 'must be a string, not an array.'],
    ['', 'must not be empty.'],
    ['ü'.repeat(513), 'must not be longer than 1 KiB.'],
    ['a'.repeat(1025), 'must not be longer than 1 KiB.'],
    ['a\0b', 'must be well-formed Unicode without NUL.'],
    ['a\ud800', 'must be well-formed Unicode without NUL.'],
    ['undefined', `must not be the string undefined: ${UNSET}`],
    ['NaN', `must not be the string NaN: ${UNSET}`],
    ['[object Object]', `must not be the string [object …]: ${UNSET}`],
  ])('is refused: %j', (identity, problem) => {
    expect(() => resolveRequest(identity, undefined)).toThrow(invalid(`identity ${problem}`))
  })
})

describe('scopes', () => {
  it('may be 100, of 256 characters each', () => {
    const scopes = Array.from({ length: 100 }, (_, i) => `${100 + i}`.padEnd(256, 's'))
    expect(resolveRequest('user', scopes).scopes).toEqual(scopes)
    expect(resolveRequest('user', []).scopes).toEqual([])
  })

  const NON_EMPTY = 'scopes must be non-empty strings.'
  it.each<[string, unknown, string]>([
    ['a string', 'videos.read', "scopes must be an array of strings, such as ['videos.read'], not of type string."],
    ['an empty one', ['a', ''], NON_EMPTY],
    ['a number', ['a', 1], NON_EMPTY],
    ['a hole', new Array(1), NON_EMPTY],
    ['one that is too long', ['a'.repeat(257)], NON_EMPTY],
    ['half a surrogate pair', ['a\ud800'], NON_EMPTY],
    ['too many', Array.from({ length: 101 }, (_, i) => `s${i}`), 'scopes must contain at most 100 strings.'],
  ])('are refused: %s', (_, scopes, message) => {
    expect(() => resolveRequest('user', scopes)).toThrow(invalid(message))
  })

  it('are copied before they are read more than once', () => {
    for (const scopes of [['b', 'a'], Array.from({ length: 100 }, () => 'a')]) {
      expect(copyScopes(scopes)).toEqual(scopes)
      expect(copyScopes(scopes)).not.toBe(scopes)
    }
    expect(() => copyScopes(new Proxy([], { get: () => fail() }))).toThrow(
      invalid('The options cannot be read: a getter or a proxy throws.'),
    )
  })

  it.each([[undefined], ['videos.read'], [{ length: 1, 0: 'a' }], [Array.from({ length: 101 }, () => 'a')]])(
    'that will be refused, or are missing, are not copied: %j',
    scopes => {
      expect(copyScopes(scopes)).toBe(scopes)
    },
  )
})

describe('the options of a run over many identities', () => {
  it('have defaults', () => {
    expect(resolveBatch([], undefined)).toEqual({
      concurrency: 1_000,
      scopes: [],
      signal: undefined,
      onOutage: 'wait',
      maxOutageMs: 600_000,
    })
  })

  it('are used as given', () => {
    const options = { concurrency: 1, scopes: ['a'], signal, onOutage: 'fail', maxOutageMs: 1 } as const
    expect(resolveBatch(new Set(['user']), options)).toEqual(options)
  })

  it.each<[string, unknown, object, string]>([
    ...(
      [
        ['user', 'of type string'],
        [null, 'null'],
        [{}, 'of type object'],
      ] as const
    ).map(([identities, type]): [string, unknown, object, string] => [
      `identities that are ${type}`,
      identities,
      {},
      `identities must be an array, an iterable or an async iterable, not ${type}.`,
    ]),
    ...[0, 1_001, 1.5].map((concurrency): [string, unknown, object, string] => [
      `a concurrency of ${concurrency}`,
      [],
      { concurrency },
      'concurrency must be a whole number from 1 to 1000.',
    ]),
    ['an unknown outage mode', [], { onOutage: 'stop' }, "onOutage must be 'wait' or 'fail'."],
    ['an outage of 0', [], { maxOutageMs: 0 }, `maxOutageMs ${DURATION}`],
    ['a signal of another type', [], { signal: {} }, 'signal must be an AbortSignal.'],
    [
      'an unknown name',
      [],
      { color: 1 },
      'Unknown option "color". Known options: concurrency, scopes, signal, onOutage, maxOutageMs.',
    ],
  ])('refuse %s', (_, identities, options, message) => {
    expect(() => resolveBatch(identities, options)).toThrow(invalid(message))
  })
})

describe('the options of invalidate', () => {
  it('may name one token, or scopes', () => {
    const options = { scopes: ['b', 'a'], token: 'text' }
    const request = { identity: 'user', scopes: ['a', 'b'] }
    expect(resolveInvalidation('user', options)).toEqual({ request, sessionToken: 'text' })
    expect(resolveInvalidation('user', undefined)).toEqual({
      request: { identity: 'user', scopes: [] },
      sessionToken: undefined,
    })
  })

  it.each<[object, string]>([
    [{ token: '' }, 'token must be the string of a session token.'],
    [{ token: 42 }, 'token must be the string of a session token.'],
    [{ color: 1 }, 'Unknown option "color". Known options: scopes, token.'],
  ])('refuse %j', (options, message) => {
    expect(() => resolveInvalidation('user', options)).toThrow(invalid(message))
  })
})

describe('the options of warmUp', () => {
  it('are a signal, or none', () => {
    expect(resolveWarmUp({ signal })).toEqual({ signal })
    expect(resolveWarmUp(undefined)).toEqual({ signal: undefined })
  })

  it.each<[object, string]>([
    [{ signal: {} }, 'signal must be an AbortSignal.'],
    [{ color: 1 }, 'Unknown option "color". Known options: signal.'],
  ])('refuse %j', (options, message) => {
    expect(() => resolveWarmUp(options)).toThrow(invalid(message))
  })
})

describe('the options of close', () => {
  it('are the time to drain, which may be 0', () => {
    for (const drainMs of [0, 1, 2 ** 31 - 1]) expect(resolveClose({ drainMs })).toEqual({ drainMs })
  })

  it.each<[object | null, string]>([
    [{ drainMs: -1 }, `drainMs ${DURATION}`],
    [{}, `drainMs ${DURATION}`],
    [null, 'The options must be an object.'],
    [{ color: 1 }, 'Unknown option "color". Known options: drainMs.'],
  ])('refuse %j', (options, message) => {
    expect(() => resolveClose(options as CloseOptions)).toThrow(invalid(message))
  })
})

describe('an identity', () => {
  it.each(['user-1234567890', 'ü-1234567890', '日本語-1234567890', '👩‍👩‍👧-1234567890', '\ufeffuser'])(
    'is unchanged: %j',
    identity => {
      expect(resolveRequest(identity, undefined).identity).toBe(identity)
    },
  )

  it('that was cut from a longer text does not keep that text in memory', () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const length = 100_000
    const cutOut = (i: number): string => Buffer.alloc(length, `${i}; `).toString('latin1').slice(1, 21)
    collect()
    const before = process.memoryUsage().heapUsed
    const memo = new KeyMemo(200)
    const requests = Array.from({ length: 200 }, (_, i) => {
      const scopes = [cutOut(i)]
      const request = resolveRequest(cutOut(i), scopes)
      memo.remember(request, scopes)
      return request
    })
    collect()
    expect(process.memoryUsage().heapUsed - before).toBeLessThan((requests.length * length) / 2)
    expect(memo.find(cutOut(1), [cutOut(1)])).toBeDefined()
  })
})

function fail(): never {
  throw new Error('the secret is 42')
}
