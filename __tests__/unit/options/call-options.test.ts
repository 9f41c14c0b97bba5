import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from '@jest/globals'
import { KeyMemo } from '../../../lib/cache/cache-key.js'
import { resolveBatch, resolveCall, resolveInvalidation, resolveRequest } from '../../../lib/options/call-options.js'

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

  it('have a waitUntil that is a function', () => {
    const waitUntil = (): void => undefined
    expect(resolveCall({ waitUntil }, defaults).waitUntil).toBe(waitUntil)
    expect(() => resolveCall({ waitUntil: { waitUntil } }, defaults)).toThrow('waitUntil must be a function')
  })

  it('may be only the scopes, which are sorted and deduplicated', () => {
    const { scopes } = resolveRequest('user', resolveCall(['b', 'a', 'b'], defaults).scopes)
    expect(scopes).toEqual(['a', 'b'])
    expect(Object.isFrozen(scopes)).toBe(true)
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

  it.each<[string, object, string]>([
    ['a misspelled name', { deadline: 1 }, 'did you mean "deadlineMs"?'],
    ['a deadline of 0', { deadlineMs: 0 }, 'deadlineMs must be a number of milliseconds above 0'],
    ['a deadline above the maximum of a timer', { deadlineMs: 2 ** 31 }, 'at most 2147483647'],
    ['a timeout of 0', { timeoutMs: 0 }, 'timeoutMs must be a number of milliseconds above 0'],
    ['a timeout that is a string', { timeoutMs: '5' }, 'timeoutMs must be a number of milliseconds above 0'],
    ['a negative number of retries', { maxRetries: -1 }, 'maxRetries must be a whole number from 0'],
    ['half a retry', { maxRetries: 0.5 }, 'maxRetries must be a whole number from 0'],
    ['a negative validity', { minValidityMs: -1 }, 'minValidityMs must be a number of milliseconds, 0 or more'],
    ['an unknown cache mode', { cache: 'never' }, "cache must be 'default', 'reload' or 'no-store'"],
    ['a signal that is not an AbortSignal', { signal: {} }, 'signal must be an AbortSignal'],
    ['inherited options', Object.create({ scopes: ['a'] }) as object, 'must have own properties'],
    ['an iterable', new Set(['a']), 'must be a plain object, not an iterable'],
  ])('refuse %s', (_, options, message) => {
    expect(() => resolveCall(options, defaults)).toThrow(message)
    expect(() => resolveCall(options, defaults)).toThrow(expect.objectContaining({ code: 'VKIT_INVALID_ARGUMENT' }))
  })

  it('are refused without showing the error that a getter throws', () => {
    const options = {
      get scopes(): never {
        throw new Error('the secret is 42')
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

  it.each<[unknown, string]>([
    [42, 'must be a string, not of type number'],
    [null, 'must be a string, not null'],
    [['user'], 'must be a string, not an array'],
    ['', 'must not be empty'],
    ['ü'.repeat(513), 'must not be longer than 1 KiB'],
    ['a\0b', 'must be well-formed Unicode without NUL'],
    ['a\ud800', 'must be well-formed Unicode without NUL'],
    ['undefined', 'must not be the string undefined'],
    ['NaN', 'must not be the string NaN'],
    ['[object Object]', 'must not be the string [object …]'],
  ])('is refused: %j', (identity, message) => {
    expect(() => resolveRequest(identity, undefined)).toThrow(`identity ${message}`)
  })
})

describe('scopes', () => {
  it.each<[string, unknown, string]>([
    ['a string', 'videos.read', 'scopes must be an array of strings'],
    ['an empty one', ['a', ''], 'scopes must be non-empty strings'],
    ['a hole', new Array(1), 'scopes must be non-empty strings'],
    ['one that is too long', ['a'.repeat(257)], 'scopes must be non-empty strings'],
    ['too many', Array.from({ length: 101 }, (_, i) => `s${i}`), 'scopes must contain at most 100'],
  ])('are refused: %s', (_, scopes, message) => {
    expect(() => resolveRequest('user', scopes)).toThrow(message)
  })
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

  it.each<[string, unknown, object, string]>([
    ['a string of identities', 'user', {}, 'identities must be an array, an iterable or an async iterable'],
    ['a concurrency of 0', [], { concurrency: 0 }, 'concurrency must be a whole number from 1 to 1000'],
    ['a concurrency that is too high', [], { concurrency: 1_001 }, 'concurrency must be a whole number from 1 to 1000'],
    ['an unknown outage mode', [], { onOutage: 'stop' }, "onOutage must be 'wait' or 'fail'"],
  ])('refuse %s', (_, identities, options, message) => {
    expect(() => resolveBatch(identities, options)).toThrow(message)
  })
})

describe('the options of invalidate', () => {
  it('may name one token', () => {
    expect(resolveInvalidation('user', { token: 'text' }).sessionToken).toBe('text')
  })

  it.each([[''], [42]])('refuse %j as a token', token => {
    expect(() => resolveInvalidation('user', { token: token as string })).toThrow('token must be the string')
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
